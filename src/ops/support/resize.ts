import { shapeError } from './fail.js';
import { showDims } from './layout.js';

/** ⌊size · scale⌋ in float32, as onnxruntime rounds it. */
export function scaledDims(dims: readonly number[], scales: readonly number[]): number[] {
  if (scales.length !== dims.length) throw shapeError(`scales ${showDims(scales)} for ${showDims(dims)}`);
  return dims.map((dim, i) => Math.floor(Math.fround(dim * scales[i]!)));
}
