import { sizeOf } from './layout.js';

/** Numbers of a weight; float64 where nothing may be lost. */
export type Floats = Float32Array | Float64Array;

/** Zeros of the element type of `like`. */
export function zerosLike<Data extends Floats>(like: Data, length: number): Data {
  return (like instanceof Float64Array ? new Float64Array(length) : new Float32Array(length)) as Data;
}

/** Elements of a row-major tensor with its axes in the order `perm`: result axis i is source axis perm[i]. */
export function permute<Data extends Floats>(data: Data, dims: readonly number[], perm: readonly number[]): Data {
  const rank = dims.length;
  const strides = Array.from({ length: rank }, () => 1);
  for (let i = rank - 2; i >= 0; i--) strides[i] = strides[i + 1]! * dims[i + 1]!;
  const extent = perm.map((axis) => dims[axis]!);
  const step = perm.map((axis) => strides[axis]!);
  const result = zerosLike(data, sizeOf(dims));
  if (rank === 0) result.set(data);
  if (rank === 0 || result.length === 0) return result;
  const index = Array.from({ length: rank }, () => 0);
  const inner = extent[rank - 1]!;
  const innerStep = step[rank - 1]!;
  let base = 0;
  for (let at = 0; at < result.length; at += inner) {
    for (let i = 0, from = base; i < inner; i++, from += innerStep) result[at + i] = data[from]!;
    for (let axis = rank - 2; axis >= 0; axis--) {
      base += step[axis]!;
      index[axis] = index[axis]! + 1;
      if (index[axis]! < extent[axis]!) break;
      base -= step[axis]! * extent[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}
