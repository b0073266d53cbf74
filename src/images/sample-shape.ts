import type { ImageSource, SampleArrays } from '../data/types.js';
import { LowrankError } from '../errors.js';

/** Throws INPUT where a model takes samples of another shape; −1 is any. */
export function requireShape({ dims }: SampleArrays, declared: readonly number[], place: string): void {
  if (declared.length === dims.length && declared.every((dim, axis) => dim < 0 || dim === dims[axis])) return;
  const shown = declared.map((dim) => (dim < 0 ? '?' : dim)).join(', ');
  throw new LowrankError('INPUT', `the arrays are [${dims.join(', ')}], and the model takes [${shown}]`, {
    place,
    remedy: `write arrays of [${shown}], without the batch`,
  });
}

/** Sides and channels of whatever a model takes, by the position of its dimensions. */
export function calledSides(
  dims: readonly number[],
  layout: 'nchw' | 'nhwc',
): { readonly width: number; readonly height: number; readonly channels: number } {
  if (layout === 'nhwc') return { height: dims[0]!, width: dims[1]!, channels: dims[2]! };
  const [channels = 1, ...sides] = dims;
  const [height = 1, width = 1] = sides.length < 2 ? [1, sides[0]] : sides.slice(-2);
  return { width, height, channels };
}

/** The size of what a model is shown, as an option of `prepareTraining`. */
export function sizeFor(
  { imageSize }: { readonly imageSize: number | null },
  { arrays }: Pick<ImageSource, 'arrays'>,
): { readonly imageDims?: readonly number[]; readonly imageSize?: number } {
  if (arrays !== undefined) return { imageDims: arrays.dims };
  return imageSize === null ? {} : { imageSize };
}
