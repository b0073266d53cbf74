import type { Device } from '../runtime/types.js';
import { defaultImageSettings, type ImageSettings } from '../images/image-settings.js';

/** Everything that decides an evaluation; see `lowrank-eval --help`. */
export interface EvalSettings extends ImageSettings {
  /** Part of the data set; null: that for validation where it has parts. */
  readonly split: string | null;
  readonly batchSize: number;
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
  ...defaultImageSettings,
  split: null,
  batchSize: 32,
  limit: null,
  seed: 0,
  maxBad: 0,
  device: 'cpu',
  threads: null,
  workers: null,
};
