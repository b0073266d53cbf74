import type { Known } from '../operator.js';
import { shapeError } from './fail.js';
import { isSmall } from './known.js';
import { showDims, sizeOf } from './layout.js';

/**
 * Multidirectional broadcasting (ai.onnx 7): dimensions are aligned at the end, and those of 1 stretch.
 * Throws SHAPE where two differ and neither is 1.
 */
export function broadcast(...shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((dims) => dims.length));
  return Array.from({ length: rank }, (_, i) => {
    let result = 1;
    for (const dims of shapes) {
      const dim = dims[i - rank + dims.length] ?? 1;
      if (dim === 1 || dim === result) continue;
      if (result !== 1) throw shapeError(`${shapes.map(showDims).join(' and ')} do not broadcast`);
      result = dim;
    }
    return result;
  });
}

/** Elements of a row-major tensor of `dims`, stretched to `target`. */
export function stretch(data: readonly number[], dims: readonly number[], target: readonly number[]): number[] {
  const offset = target.length - dims.length;
  const strides = target.map((_, i) => {
    const axis = i - offset;
    return axis < 0 || dims[axis] === 1 ? 0 : sizeOf(dims.slice(axis + 1));
  });
  return gatherIndices(target, strides).map((from) => data[from]!);
}

/** Source offsets of all elements of a tensor of `dims`, row-major, where a step along axis i moves by strides[i]. */
export function gatherIndices(dims: readonly number[], strides: readonly number[], start = 0): number[] {
  let offsets = [start];
  dims.forEach((dim, axis) => {
    offsets = offsets.flatMap((base) => Array.from({ length: dim }, (_, i) => base + i * strides[axis]!));
  });
  return offsets;
}

/** Applies `f` element by element over broadcast constants; undefined where one is not known or the result is large. */
export function foldBroadcast(
  inputs: readonly Known[],
  dims: readonly number[],
  f: (...values: number[]) => number,
): number[] | undefined {
  if (!isSmall(dims)) return undefined;
  const columns: (readonly number[])[] = [];
  for (const value of inputs) {
    if (value.constant === undefined) return undefined;
    columns.push(stretch(value.constant, value.dims, dims));
  }
  return Array.from({ length: sizeOf(dims) }, (_, i) => f(...columns.map((column) => column[i]!)));
}
