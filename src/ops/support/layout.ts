import { shapeError } from './fail.js';

/** Product of all dimensions; 1 for scalars. */
export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

export function showDims(dims: readonly number[]): string {
  return `[${dims.join(', ')}]`;
}

/** `axis` counted from the front. Throws SHAPE where it is not one of `rank` axes. */
export function normalizeAxis(axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || positive < 0 || positive >= rank) {
    throw shapeError(`axis ${axis} of a tensor of rank ${rank}`);
  }
  return positive;
}

/** Distinct axes counted from the front, in the order given. Throws SHAPE where one is named twice or out of range. */
export function normalizeAxes(axes: readonly number[], rank: number): number[] {
  const positive = axes.map((axis) => normalizeAxis(axis, rank));
  if (new Set(positive).size !== positive.length) throw shapeError(`an axis is named twice in [${axes.join(', ')}]`);
  return positive;
}

/** Transpose (ai.onnx 1): reversed where there is no `perm`. */
export function transposed(dims: readonly number[], perm: readonly number[] | undefined): number[] {
  return permutation(perm, dims.length).map((axis) => dims[axis]!);
}

/** `perm` checked to be one of `rank` axes; the reversal where there is none. */
export function permutation(perm: readonly number[] | undefined, rank: number): readonly number[] {
  if (perm === undefined) return Array.from({ length: rank }, (_, i) => rank - 1 - i);
  const axes = normalizeAxes(perm, rank);
  if (axes.length !== rank) throw shapeError(`perm [${perm.join(', ')}] of a tensor of rank ${rank}`);
  return axes;
}

/**
 * Reshape (ai.onnx 5, allowzero since 14): 0 copies the input's dimension unless `allowZero`, one −1 takes what is left.
 * Throws SHAPE where the sizes differ.
 */
export function reshaped(dims: readonly number[], target: readonly number[], allowZero = false): number[] {
  const size = sizeOf(dims);
  const copied = target.map((dim, i) => {
    if (dim !== 0 || allowZero) return dim;
    const source = dims[i];
    if (source === undefined)
      throw shapeError(`${showDims(dims)} has no dimension ${i} for the 0 of ${showDims(target)}`);
    return source;
  });
  const free = copied.indexOf(-1);
  const mismatch = shapeError(`${showDims(dims)} cannot be reshaped to ${showDims(target)}`);
  if (copied.some((dim, i) => dim < 0 && i !== free)) throw mismatch;
  if (free >= 0) {
    const others = sizeOf(copied.filter((_, i) => i !== free));
    if (others === 0 ? size !== 0 : size % others !== 0) throw mismatch;
    copied[free] = others === 0 ? 0 : size / others;
  }
  if (sizeOf(copied) !== size) throw mismatch;
  return copied;
}

/** Squeeze: without axes all dimensions of 1 go. Throws SHAPE where a named one is not 1. */
export function squeezed(dims: readonly number[], axes: readonly number[] | undefined): number[] {
  if (axes === undefined) return dims.filter((dim) => dim !== 1);
  const gone = new Set(normalizeAxes(axes, dims.length));
  for (const axis of gone) {
    if (dims[axis] !== 1) throw shapeError(`axis ${axis} of ${showDims(dims)} cannot be squeezed`);
  }
  return dims.filter((_, i) => !gone.has(i));
}

/** Unsqueeze: axes are those of the result. */
export function unsqueezed(dims: readonly number[], axes: readonly number[]): number[] {
  const rank = dims.length + axes.length;
  const added = new Set(normalizeAxes(axes, rank));
  let next = 0;
  return Array.from({ length: rank }, (_, i) => (added.has(i) ? 1 : dims[next++]!));
}

/** Flatten: two dimensions, split before `axis`, which may be the rank itself. */
export function flattened(dims: readonly number[], axis: number): number[] {
  const at = axis < 0 ? axis + dims.length : axis;
  if (at < 0 || at > dims.length) throw shapeError(`Flatten at axis ${axis} of ${showDims(dims)}`);
  return [sizeOf(dims.slice(0, at)), sizeOf(dims.slice(at))];
}
