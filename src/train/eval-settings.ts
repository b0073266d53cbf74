import type { Device } from '../runtime/types.js';

/** Everything that decides an evaluation; see `lowrank-eval --help`. */
export interface EvalSettings {
  /** Part of the data set; null: that for validation where it has parts. */
  readonly split: string | null;
  readonly batchSize: number;
  /** Side of the images in pixels; null: what the model says, 224 where it does not. */
  readonly imageSize: number | null;
  /** Shorter side before the center crop; null: the image size / 0.875; up to 64 pixels, the image size. */
  readonly resize: number | null;
  /** The whole image is stretched to the model's size, in place of the center crop. */
  readonly stretch: boolean;
  /** Name of a normalization, or means and standard deviations of the channels, for pixels from 0 to 1. */
  readonly normalization: string;
  readonly mean: readonly number[] | null;
  readonly std: readonly number[] | null;
  /** So many images, drawn by (seed); null: all. */
  readonly limit: number | null;
  readonly seed: number;
  readonly maxBad: number;
  readonly device: Device;
  /** Threads of onnxruntime; null: all cores. */
  readonly threads: number | null;
  /** Decode threads; null: one per core, at most 4. */
  readonly workers: number | null;
}

export const defaultEvalSettings: EvalSettings = {
  split: null,
  batchSize: 32,
  imageSize: null,
  resize: null,
  stretch: false,
  normalization: 'imagenet',
  mean: null,
  std: null,
  limit: null,
  seed: 0,
  maxBad: 0,
  device: 'cpu',
  threads: null,
  workers: null,
};
