import { int } from '../graph/attributes.js';
import type { Value } from '../graph/value.js';
import type { Normalization } from '../data/normalize.js';
import { BOOL, FLOAT, UINT8 } from '../onnx/data-type.js';
import type { Emitter } from '../ops/emitter.js';
import { addInput } from './emitted.js';
import type { PreparedModel } from './prepare-model.js';

/** Images that cross to the device as bytes, and become the model's input there. */
export interface ByteImages {
  readonly normalization: Normalization;
  /** Whether an input says which images are mirrored. */
  readonly hasFlips: boolean;
}

/** The inputs of a graph for a batch of images. */
export interface ImageInputs {
  /** What the model takes: float32, normalized, in its layout. */
  readonly value: Value;
  readonly images: string;
  /** float32, or uint8 [N, H, W, C]. */
  readonly type: 'float32' | 'uint8';
  /** Of one image, as the graph takes it. */
  readonly dims: readonly number[];
  /** bool [N]. */
  readonly flips: string | undefined;
}

/** The largest distance that Slice may go back. */
const farBack = -(2 ** 31);

/**
 * Declares the images of a batch: as the model takes them, or as bytes, a quarter of that, which the graph mirrors where
 * `flips` says so, lays out, and normalizes: (x / 255 − mean) / deviation, each step rounded to float32, as the loader does.
 */
export function addImages(
  e: Emitter,
  { imageDims, layout }: PreparedModel,
  batch: number,
  bytes: ByteImages | undefined,
): ImageInputs {
  if (bytes === undefined) {
    const value = addInput(e, 'images', FLOAT, [batch, ...imageDims], true);
    return { value, images: value.name, type: 'float32', dims: imageDims, flips: undefined };
  }
  const [height, width] = layout === 'nhwc' ? imageDims : imageDims.slice(1);
  const { mean, deviation } = bytes.normalization;
  const dims = [height!, width!, mean.length];
  const images = addInput(e, 'images', UINT8, [batch, ...dims], true);
  let pixels = images;
  let flips: string | undefined;
  if (bytes.hasFlips) {
    const flip = addInput(e, 'flips', BOOL, [batch], true);
    flips = flip.name;
    const mirrored = e.slice(images, [-1], [farBack], [2], [-1]);
    pixels = e.emit('Where', [e.reshape(flip, [-1, 1, 1, 1]), mirrored, images]);
  }
  if (layout === 'nchw') pixels = e.transpose(pixels, [0, 3, 1, 2]);
  const channels = (values: readonly number[]): Value =>
    e.floats(values, layout === 'nchw' ? [values.length, 1, 1] : [values.length]);
  const unit = e.div(e.emit('Cast', [pixels], { to: int(FLOAT) }), e.floats([255], []));
  const value = e.div(e.sub(unit, channels(mean)), channels(deviation));
  return { value, images: images.name, type: 'uint8', dims, flips };
}
