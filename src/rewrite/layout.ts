import type { Linalg, Matrix } from '../linalg/types.js';
import type { Scheme } from '../contracts/convert.js';
import { factorKernels, type Geometry, matrixShape } from './geometry.js';
import type { LayerForm } from './layers.js';
import { schemes } from './schemes/index.js';
import type { FactorPair } from './types.js';

/** Row-major data with its dimensions. */
export interface Kernel {
  readonly dims: readonly number[];
  readonly data: Float32Array;
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
  const { rows, cols, rowsPerNeuron } = matrixShape(geometry, scheme);
  if (rowsPerNeuron === 1) return { rows, cols, data: outputMajor ? data : transpose(data, cols, rows, memory) };
  // What of the kernel follows the part that is the last factor's: that part is its height, its width or all of it.
  const [hasHeight, hasWidth] = schemes[scheme].factors.at(-1)!.window;
  const behind = hasHeight && !hasWidth ? geometry.kernel[1] : 1;
  return { rows, cols, data: swapMiddle(data, geometry.out, cols / behind, rowsPerNeuron, behind, memory) };
}

/** The factors of weight ≈ left · right as matrices, in the order in which they are applied. */
export function splitPair(pair: FactorPair, scheme: Scheme): readonly Matrix[] {
  return schemes[scheme].split?.(pair) ?? [pair.right, pair.left];
}

/** left · right with the first factor as `right` and all others multiplied as `left`. */
export async function joinFactors(
  [right, second, ...others]: readonly Matrix[],
  linalg: Pick<Linalg, 'gemm'>,
): Promise<FactorPair> {
  let left = second!;
  for (const factor of others) left = await linalg.gemm(factor, left);
  return { left, right: right! };
}

/**
 * The weights of the factors, in order, in the layout that the layer's form needs. The last is (out, its window) × rank, the
 * others are channels × (channels before, their windows).
 */
export function toKernels(
  factors: readonly Matrix[],
  geometry: Geometry,
  scheme: Scheme,
  form: LayerForm,
  transB: number,
): readonly Kernel[] {
  const kernels = factorKernels(geometry, scheme);
  return factors.map(({ rows, cols, data }, at): Kernel => {
    const isLast = at === factors.length - 1;
    if (form === 'conv') {
      const [kh, kw] = kernels[at]!;
      const area = kh * kw;
      if (!isLast) return { dims: [rows, cols / area, kh, kw], data };
      const out = rows / area;
      return { dims: [out, cols, kh, kw], data: area === 1 ? data : swapMiddle(data, out, area, cols, 1) };
    }
    return isFactorOutputMajor(form, transB, isLast)
      ? { dims: [rows, cols], data }
      : { dims: [cols, rows], data: transpose(data, rows, cols) };
  });
}

/** The factors whose kernels these are: the inverse of `toKernels`. */
export function fromKernels(kernels: readonly Kernel[], form: LayerForm, transB: number): readonly Matrix[] {
  return kernels.map(({ dims, data }, at): Matrix => {
    const isLast = at === kernels.length - 1;
    const [first, second, kh = 1, kw = 1] = dims as [number, number, number?, number?];
    if (form === 'conv') {
      const area = kh * kw;
      if (!isLast) return { rows: first, cols: second * area, data };
      return { rows: first * area, cols: second, data: area === 1 ? data : swapMiddle(data, first, second, area, 1) };
    }
    return isFactorOutputMajor(form, transB, isLast)
      ? { rows: first, cols: second, data }
      : { rows: second, cols: first, data: transpose(data, first, second) };
  });
}

/** Whether a factor's weight is [out, in]: a Gemm becomes MatMuls, whose weights are [in, out], and a Gemm at the end. */
export function isFactorOutputMajor(form: LayerForm, transB: number, isLast: boolean): boolean {
  return isOutputMajor(form === 'gemm' && !isLast ? 'matmul-right' : form, transB);
}

/** [a, b, c, d] to [a, c, b, d]. */
function swapMiddle(
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
