import type { Matrix } from '../linalg/types.js';
import type { Scheme } from '../contracts/convert.js';
import { type Geometry, matrixShape } from './geometry.js';
import type { LayerForm } from './layers.js';
import type { FactorPair } from './types.js';

/** Row-major data with its dimensions. */
export interface Kernel {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** The two weights of a pair: `first` is applied to the input, `second` to its result. */
export interface PairKernels {
  readonly first: Kernel;
  readonly second: Kernel;
}

/** Whether the stored weight of a product is [out, in]. */
export function isOutputMajor(form: LayerForm, transB: number): boolean {
  return form === 'conv' || form === 'matmul-left' || (form === 'gemm' && transB === 1);
}

/**
 * The matrix that a scheme factorizes (see InitProblem for the order of rows and columns): `data` itself where its order
 * is that one, otherwise in `memory`, of as many numbers.
 */
export function toMatrix(
  data: Float32Array,
  geometry: Geometry,
  scheme: Scheme,
  outputMajor: boolean,
  memory?: Float32Array,
): Matrix {
  const { rows, cols } = matrixShape(geometry, scheme);
  if (scheme === 'spatial') {
    const [kh, kw] = geometry.kernel;
    return { rows, cols, data: permuteSpatial(data, geometry.out, geometry.in, kh, kw, memory) };
  }
  return { rows, cols, data: outputMajor ? data : transpose(data, cols, rows, memory) };
}

/** The weights of the pair in the layout that the layer's form needs. */
export function toKernels(
  pair: FactorPair,
  geometry: Geometry,
  scheme: Scheme,
  form: LayerForm,
  transB: number,
): PairKernels {
  const rank = pair.left.cols;
  const { left, right } = pair;
  const [kh, kw] = geometry.kernel;
  if (scheme === 'spatial') {
    // left is (out, kh) × rank; the kernel is [out, rank, kh, 1].
    const data = new Float32Array(left.data.length);
    for (let o = 0; o < geometry.out; o++) {
      for (let y = 0; y < kh; y++) {
        const row = (o * kh + y) * rank;
        for (let k = 0; k < rank; k++) data[(o * rank + k) * kh + y] = left.data[row + k]!;
      }
    }
    return {
      first: { dims: [rank, geometry.in, 1, kw], data: right.data },
      second: { dims: [geometry.out, rank, kh, 1], data },
    };
  }
  if (form === 'conv') {
    return {
      first: { dims: [rank, geometry.in, kh, kw], data: right.data },
      second: { dims: [geometry.out, rank, 1, 1], data: left.data },
    };
  }
  if (form === 'matmul-left') {
    return {
      first: { dims: [rank, right.cols], data: right.data },
      second: { dims: [left.rows, rank], data: left.data },
    };
  }
  const first = { dims: [right.cols, rank], data: transpose(right.data, rank, right.cols) };
  return transB === 1
    ? { first, second: { dims: [left.rows, rank], data: left.data } }
    : { first, second: { dims: [rank, left.rows], data: transpose(left.data, left.rows, rank) } };
}

/** The pair whose kernels these are: the inverse of `toKernels`. */
export function fromKernels(
  kernels: PairKernels,
  geometry: Geometry,
  scheme: Scheme,
  form: LayerForm,
  transB: number,
): FactorPair {
  const { first, second } = kernels;
  const { rows, cols } = matrixShape(geometry, scheme);
  if (scheme === 'spatial') {
    const rank = first.dims[0]!;
    const [kh] = geometry.kernel;
    const data = new Float32Array(rows * rank);
    for (let o = 0; o < geometry.out; o++) {
      for (let k = 0; k < rank; k++) {
        for (let y = 0; y < kh; y++) data[(o * kh + y) * rank + k] = second.data[(o * rank + k) * kh + y]!;
      }
    }
    return { left: { rows, cols: rank, data }, right: { rows: rank, cols, data: first.data } };
  }
  if (form === 'conv' || form === 'matmul-left') {
    const rank = first.dims[0]!;
    return { left: { rows, cols: rank, data: second.data }, right: { rows: rank, cols, data: first.data } };
  }
  const rank = first.dims[1]!;
  const left = transB === 1 ? second.data : transpose(second.data, rank, rows);
  return {
    left: { rows, cols: rank, data: left },
    right: { rows: rank, cols, data: transpose(first.data, cols, rank) },
  };
}

/** [a, b, c, d] to [a, c, b, d]. */
function permuteSpatial(
  data: Float32Array,
  a: number,
  b: number,
  c: number,
  d: number,
  result: Float32Array = new Float32Array(data.length),
): Float32Array {
  let at = 0;
  for (let i = 0; i < a; i++) {
    for (let k = 0; k < c; k++) {
      for (let j = 0; j < b; j++) {
        const from = ((i * b + j) * c + k) * d;
        for (let l = 0; l < d; l++) result[at++] = data[from + l]!;
      }
    }
  }
  return result;
}

/** rows × cols to cols × rows, in tiles that fit the cache. */
export function transpose(
  data: Float32Array,
  rows: number,
  cols: number,
  result: Float32Array = new Float32Array(data.length),
): Float32Array {
  const tile = 32;
  for (let i0 = 0; i0 < rows; i0 += tile) {
    for (let j0 = 0; j0 < cols; j0 += tile) {
      const iEnd = Math.min(i0 + tile, rows);
      const jEnd = Math.min(j0 + tile, cols);
      for (let i = i0; i < iEnd; i++) for (let j = j0; j < jEnd; j++) result[j * rows + i] = data[i * cols + j]!;
    }
  }
  return result;
}
