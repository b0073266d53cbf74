import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../errors.js';
import type { Pair } from './joined-layers.js';
import type { FactorizableLayer } from './layers.js';
import { isOutputMajor } from './layout.js';
import type { FactorPair } from './types.js';
import type { Linalg, Matrix64 } from '../linalg/types.js';
import type { ResolvedWeight } from '../ops/resolve-weight.js';
import { type Floats, permute } from '../ops/support/permute.js';

/** Row-major, of one element type. */
interface MatrixOf<Data extends Floats> {
  readonly rows: number;
  readonly cols: number;
  readonly data: Data;
}

/**
 * The factors of a pair as two matrices: left · right is its product, with rows (out, last kernel) and columns (in, the other
 * kernels). `left` is the last factor, `right` the product of all others. The α of a Gemm that comes before the last is in
 * `right`; that of the last stays with the layer, as it does for a layer that is not factorized.
 */
export async function pairFactors(pair: Pair, linalg: Pick<Linalg, 'gemm'>): Promise<FactorPair> {
  return sidesOf<Float32Array>(
    pair,
    (weight) => weight.data(),
    (left, right) => linalg.gemm(left, right),
  );
}

async function sidesOf<Data extends Floats>(
  { factors, last, form }: Pair,
  read: (weight: ResolvedWeight) => Data,
  multiply: (left: MatrixOf<Data>, right: MatrixOf<Data>) => Promise<MatrixOf<Data>>,
): Promise<{ readonly left: MatrixOf<Data>; readonly right: MatrixOf<Data> }> {
  const isConv = form === 'conv';
  let right: MatrixOf<Data> | undefined;
  let kernel: readonly [number, number] = [1, 1];
  for (const factor of factors.slice(0, -1)) {
    if (right === undefined) right = asRows(factor, read);
    else {
      const { data, rows, cols } = await multiply(asColumns(factor, read, isConv), right);
      const inputs = cols / (kernel[0] * kernel[1]);
      right = {
        rows: factor.geometry.out,
        cols: (rows * cols) / factor.geometry.out,
        data: joinWindows(data, factor, inputs, kernel),
      };
    }
    kernel = [kernel[0] * factor.geometry.kernel[0], kernel[1] * factor.geometry.kernel[1]];
    const alpha = factor.form === 'gemm' ? factor.node.float('alpha', 1) : 1;
    const { data } = right;
    if (alpha !== 1) for (let i = 0; i < data.length; i++) data[i] = alpha * data[i]!;
  }
  return { left: asColumns(last, read, isConv), right: right! };
}

/** out × (in, kernel) */
function asRows<Data extends Floats>(
  { geometry, weight, form, node }: FactorizableLayer,
  read: (weight: ResolvedWeight) => Data,
): MatrixOf<Data> {
  const [rows, cols] = [geometry.out, geometry.in * geometry.kernel[0] * geometry.kernel[1]];
  const data = read(weight);
  const isRowMajor = isOutputMajor(form, node.int('transB', 0));
  return { rows, cols, data: isRowMajor ? data : permute(data, [cols, rows], [1, 0]) };
}

/** (out, kernel) × in */
function asColumns<Data extends Floats>(
  layer: FactorizableLayer,
  read: (weight: ResolvedWeight) => Data,
  isConv: boolean,
): MatrixOf<Data> {
  if (!isConv) return asRows(layer, read);
  const { out, in: inputs, kernel } = layer.geometry;
  return {
    rows: out * kernel[0] * kernel[1],
    cols: inputs,
    data: permute(read(layer.weight), [out, inputs, ...kernel], [0, 2, 3, 1]),
  };
}

/** (out, kernel) × (in, kernel before) as [out, in, kh, kw]: along each axis one of the two kernels is 1. */
function joinWindows<Data extends Floats>(
  product: Data,
  { geometry: { out, kernel } }: FactorizableLayer,
  inputs: number,
  before: readonly [number, number],
): Data {
  return permute(product, [out, ...kernel, inputs, ...before], [0, 3, 1, 4, 2, 5]);
}

/** left · right in float64, for weights of that type. */
export async function productInFloat64(pair: Pair, signal: AbortSignal | undefined): Promise<Float64Array> {
  const multiply = (left: Matrix64, right: Matrix64): Promise<Matrix64> => multiplyInFloat64(left, right, signal);
  const { left, right } = await sidesOf<Float64Array>(pair, (weight) => weight.dataInFloat64(), multiply);
  return (await multiply(left, right)).data;
}

async function multiplyInFloat64(left: Matrix64, right: Matrix64, signal: AbortSignal | undefined): Promise<Matrix64> {
  const { rows, cols: inner } = left;
  const { cols } = right;
  const product = new Float64Array(rows * cols);
  for (let i = 0; i < rows; i++) {
    if (i % 16 === 0) await setImmediate();
    throwIfAborted(signal);
    const row = product.subarray(i * cols, (i + 1) * cols);
    for (let k = 0; k < inner; k++) {
      const factor = left.data[i * inner + k]!;
      for (let j = 0; j < cols; j++) row[j] = row[j]! + factor * right.data[k * cols + j]!;
    }
  }
  return { rows, cols, data: product };
}

/** The product of a pair's factors as the weight of the one layer: [out, in, kh, kw], [out, in] or [in, out]. */
export function productWeight<Data extends Floats>(pair: Pair, product: Data, outputMajor: boolean): Data {
  const { last, geometry, form } = pair;
  if (form === 'conv') {
    const [kh, kw] = geometry.kernel;
    const [h, w] = last.geometry.kernel;
    return joinWindows(product, last, geometry.in, [kh / h, kw / w]);
  }
  return outputMajor ? product : permute(product, [geometry.out, geometry.in], [1, 0]);
}
