import { gatherIndices } from './broadcast.js';
import { shapeError } from './fail.js';
import { isSmall } from './known.js';
import { normalizeAxis, showDims, sizeOf } from './layout.js';

/** Concat: dims equal but along `axis`, where they add up. Throws SHAPE where they are not. */
export function concatDims(shapes: readonly (readonly number[])[], axis: number): number[] {
  const first = shapes[0];
  if (first === undefined) throw shapeError('Concat of nothing');
  const at = normalizeAxis(axis, first.length);
  let total = 0;
  for (const dims of shapes) {
    const fits = dims.length === first.length && dims.every((dim, i) => i === at || dim === first[i]);
    if (!fits) throw shapeError(`Concat of ${shapes.map(showDims).join(', ')} on axis ${axis}`);
    total += dims[at]!;
  }
  return first.with(at, total);
}

/** Row-major strides, in elements. */
export function stridesOf(dims: readonly number[]): number[] {
  return dims.map((_, i) => sizeOf(dims.slice(i + 1)));
}

/** The elements whose index along each axis is one of the list for that axis; undefined where the result is large. */
export function pick(
  data: readonly number[],
  dims: readonly number[],
  lists: readonly (readonly number[])[],
): number[] | undefined {
  if (!isSmall(lists.map((list) => list.length))) return undefined;
  const strides = stridesOf(dims);
  let offsets = [0];
  lists.forEach((list, axis) => {
    offsets = offsets.flatMap((base) => list.map((index) => base + index * strides[axis]!));
  });
  return offsets.map((offset) => data[offset]!);
}

/** 0, 1, … count − 1. */
export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** Elements with the axes in the order `perm`. */
export function permuteElements(data: readonly number[], dims: readonly number[], perm: readonly number[]): number[] {
  const strides = stridesOf(dims);
  const target = perm.map((axis) => dims[axis]!);
  return gatherIndices(
    target,
    perm.map((axis) => strides[axis]!),
  ).map((from) => data[from]!);
}
