import { LowrankError } from '../errors.js';
import type { Linalg, Matrix } from '../linalg/types.js';
import type { Scheme } from '../contracts/convert.js';
import { factorKernelSizes, type Geometry, groupsOf, matrixShape } from './geometry.js';
import { isConvolution, type LayerForm } from './layers.js';
import { sizeOf } from '../ops/support/layout.js';
import { type Floats, zerosLike } from '../ops/support/permute.js';
import { schemes } from './schemes/index.js';
import type { FactorPair } from './types.js';

/** Row-major data with its dimensions. */
export interface Kernel {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** Whether the stored weight of a product is [out, in]. */
export function isOutputMajor(form: LayerForm, transB: number): boolean {
  return isConvolution(form) || form === 'matmul-left' || (form === 'gemm' && transB === 1);
}

/**
 * The matrix that a scheme factorizes (see InitProblem for the order of rows and columns): `data` itself where its order
 * is that one, otherwise in `memory`, of as many numbers. Of a layer without groups: see `toMatrices`.
 */
export function toMatrix(
  data: Float32Array,
  geometry: Geometry,
  scheme: Scheme,
  outputMajor: boolean,
  memory?: Float32Array,
): Matrix {
  const { rows, cols, rowsPerNeuron } = matrixShape(geometry, scheme);
  if (groupsOf(geometry) > 1) throw new LowrankError('INTERNAL', 'groups of channels have no matrix in common');
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

/** The same of each group of channels, in order. */
export function toMatrices(
  data: Float32Array,
  geometry: Geometry,
  scheme: Scheme,
  outputMajor: boolean,
  memory?: Float32Array,
): readonly Matrix[] {
  const groups = groupsOf(geometry);
  const own = { ...geometry, in: geometry.in / groups, out: geometry.out / groups, groups: 1 };
  const size = data.length / groups;
  return Array.from({ length: groups }, (_, group) => {
    const [from, to] = [group * size, (group + 1) * size];
    return toMatrix(data.subarray(from, to), own, scheme, outputMajor, memory?.subarray(from, to));
  });
}

/** The pairs of all groups as one: rows below rows. */
export function joinGroups(pairs: readonly FactorPair[]): FactorPair {
  if (pairs.length === 1) return pairs[0]!;
  return { left: stackRows(pairs.map(({ left }) => left)), right: stackRows(pairs.map(({ right }) => right)) };
}

/** Row-major, of one element type. */
export interface MatrixOf<Data extends Floats> {
  readonly rows: number;
  readonly cols: number;
  readonly data: Data;
}

export interface PairOf<Data extends Floats> {
  readonly left: MatrixOf<Data>;
  readonly right: MatrixOf<Data>;
}

/** The pair of each of so many groups: the inverse of `joinGroups`. */
export function splitGroups<Data extends Floats>(pair: PairOf<Data>, groups: number): readonly PairOf<Data>[] {
  if (groups === 1) return [pair];
  const { left, right } = pair;
  const part = ({ rows, cols, data }: MatrixOf<Data>, group: number): MatrixOf<Data> => {
    const size = data.length / groups;
    return { rows: rows / groups, cols, data: data.subarray(group * size, (group + 1) * size) as Data };
  };
  return Array.from({ length: groups }, (_, group) => ({ left: part(left, group), right: part(right, group) }));
}

/** The matrices below each other. */
export function stackRows<Data extends Floats>(parts: readonly MatrixOf<Data>[]): MatrixOf<Data> {
  if (parts.length === 1) return parts[0]!;
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const { cols } = parts[0]!;
  const data = zerosLike(parts[0]!.data, rows * cols);
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return { rows, cols, data };
}

/**
 * The weights of the factors, in the order in which they are applied, in the layout that the layer's form needs. The last of the
 * factors is (out, its window) × rank, the others are channels × (channels before, their windows); of several groups rows below
 * rows; of a product with several matrices each on its own. A transposed convolution applies them in reverse, and one without a window as a convolution.
 */
export function toKernels(
  factors: readonly Matrix[],
  geometry: Geometry,
  scheme: Scheme,
  form: LayerForm,
  transB: number,
): readonly Kernel[] {
  const sizes = factorKernelSizes(geometry, scheme);
  const kernels = factors.map(({ rows, cols, data }, at): Kernel => {
    const isLast = at === factors.length - 1;
    if (isConvolution(form)) {
      const area = sizeOf(sizes[at]!);
      if (!isLast) return { dims: [rows, cols / area, ...sizes[at]!], data };
      const out = rows / area;
      return { dims: [out, cols, ...sizes[at]!], data: area === 1 ? data : swapMiddle(data, out, area, cols, 1) };
    }
    const { stack = [] } = geometry;
    const own = rows / groupsOf(geometry);
    return isFactorOutputMajor(form, transB, isLast)
      ? { dims: [...stack, own, cols], data }
      : { dims: [...stack, cols, own], data: transposeEach(data, own, cols) };
  });
  return form === 'conv-transposed' ? kernels.map(adjointKernel).reverse() : kernels;
}

/** The factors whose kernels these are: the inverse of `toKernels`. */
export function fromKernels(kernels: readonly Kernel[], form: LayerForm, transB: number): readonly Matrix[] {
  const inOrder = form === 'conv-transposed' ? kernels.map(adjointKernel).reverse() : kernels;
  return inOrder.map(({ dims, data }, at): Matrix => {
    const isLast = at === kernels.length - 1;
    if (!isConvolution(form)) return fromProduct({ dims, data }, isFactorOutputMajor(form, transB, isLast));
    const [first, second, ...sizes] = dims as [number, number, ...number[]];
    const area = sizeOf(sizes);
    if (!isLast) return { rows: first, cols: second * area, data };
    return { rows: first * area, cols: second, data: area === 1 ? data : swapMiddle(data, first, second, area, 1) };
  });
}

/** Of several matrices rows below rows. */
function fromProduct({ dims, data }: Kernel, isOutputMajor: boolean): Matrix {
  const [first, second] = dims.slice(-2) as [number, number];
  const count = dims.slice(0, -2).reduce((product, dim) => product * dim, 1);
  return isOutputMajor
    ? { rows: count * first, cols: second, data }
    : { rows: count * second, cols: first, data: transposeEach(data, first, second) };
}

/** Every rows × cols, one after the other, to cols × rows. */
function transposeEach(data: Float32Array, rows: number, cols: number): Float32Array {
  const result = new Float32Array(data.length);
  const size = rows * cols;
  for (let at = 0; at < data.length; at += size) {
    transpose(data.subarray(at, at + size), rows, cols, result.subarray(at, at + size));
  }
  return result;
}

/** Without a window a convolution in place of a transposed one, whose weight has its channels the other way round. */
function adjointKernel({ dims, data }: Kernel): Kernel {
  const [first, second, ...sizes] = dims as [number, number, ...number[]];
  if (sizes.some((size) => size !== 1)) return { dims, data };
  return { dims: [second, first, ...sizes], data: transpose(data, first, second) };
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
