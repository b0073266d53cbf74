import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../errors.js';
import { groupsOf } from './geometry.js';
import { factorGeometries, type Pair } from './joined-layers.js';
import { isConvolution } from './layers.js';
import { isOutputMajor, type MatrixOf, type PairOf, splitGroups, stackRows } from './layout.js';
import type { FactorPair } from './types.js';
import type { Linalg, Matrix64 } from '../linalg/types.js';
import type { ResolvedWeight } from '../ops/resolve-weight.js';
import { type Floats, permute } from '../ops/support/permute.js';

/**
 * The factors of a pair as two matrices: left · right is its product, with rows (out, last kernel) and columns (in, the other
 * kernels). `left` is the last factor, `right` the product of all others. The α of a Gemm that comes before the last is in
 * `right`; that of the last stays with the layer, as it does for a layer that is not factorized. Those of each group of channels.
 */
export async function pairFactors(pair: Pair, linalg: Pick<Linalg, 'gemm'>): Promise<readonly FactorPair[]> {
  const product = await sidesOf<Float32Array>(
    pair,
    (weight) => weight.data(),
    (one, other) => linalg.gemm(one, other),
  );
  return splitGroups(product, groupsOf(pair.geometry));
}

/** A factor's weight as [out, in, kh, kw]; `in` is that of one group. */
interface View<Data extends Floats> {
  readonly out: number;
  readonly in: number;
  readonly kernel: readonly [number, number];
  readonly data: Data;
  readonly alpha: number;
}

async function sidesOf<Data extends Floats>(
  pair: Pair,
  read: (weight: ResolvedWeight) => Data,
  multiply: (left: MatrixOf<Data>, right: MatrixOf<Data>) => Promise<MatrixOf<Data>>,
): Promise<PairOf<Data>> {
  const views = viewsOf(pair, read);
  let right: MatrixOf<Data> | undefined;
  let kernel: readonly [number, number] = [1, 1];
  for (const view of views.slice(0, -1)) {
    if (right === undefined) right = asRows(view);
    else {
      const { data, rows, cols } = await multiply(asColumns(view), right);
      const inputs = cols / (kernel[0] * kernel[1]);
      right = { rows: view.out, cols: (rows * cols) / view.out, data: joinWindows(data, view, inputs, kernel) };
    }
    kernel = [kernel[0] * view.kernel[0], kernel[1] * view.kernel[1]];
    const { data } = right;
    if (view.alpha !== 1) for (let i = 0; i < data.length; i++) data[i] = view.alpha * data[i]!;
  }
  return { left: asColumns(views.at(-1)!), right: right! };
}

/** In the order of the product. */
function viewsOf<Data extends Floats>(
  { factors, form: whole }: Pair,
  read: (weight: ResolvedWeight) => Data,
): readonly View<Data>[] {
  const views = factors.map(({ geometry, weight, form, node }): View<Data> => {
    const { out, in: inputs, kernel } = geometry;
    const stored = read(weight);
    const alpha = form === 'gemm' ? node.float('alpha', 1) : 1;
    // The one without a window in a transposed pair.
    if (whole === 'conv-transposed' && form === 'conv') {
      return { out: inputs, in: out, kernel, data: permute(stored, [out, inputs], [1, 0]), alpha };
    }
    const isRowMajor = isOutputMajor(form, node.int('transB', 0));
    const groups = groupsOf(geometry);
    const data = isRowMajor ? stored : permute(stored, [groups, inputs / groups, out / groups], [0, 2, 1]);
    return { out, in: inputs / groups, kernel, data, alpha };
  });
  return whole === 'conv-transposed' ? views.reverse() : views;
}

/** out × (in, kernel) */
function asRows<Data extends Floats>({ out, in: inputs, kernel, data }: View<Data>): MatrixOf<Data> {
  return { rows: out, cols: inputs * kernel[0] * kernel[1], data };
}

/** (out, kernel) × in */
function asColumns<Data extends Floats>({ out, in: inputs, kernel, data }: View<Data>): MatrixOf<Data> {
  const area = kernel[0] * kernel[1];
  return {
    rows: out * area,
    cols: inputs,
    data: area === 1 ? data : permute(data, [out, inputs, ...kernel], [0, 2, 3, 1]),
  };
}

/** (out, kernel) × (in, kernel before) as [out, in, kh, kw]: along each axis one of the two kernels is 1. */
function joinWindows<Data extends Floats>(
  product: Data,
  { out, kernel }: Pick<View<Data>, 'out' | 'kernel'>,
  inputs: number,
  before: readonly [number, number],
): Data {
  return permute(product, [out, ...kernel, inputs, ...before], [0, 3, 1, 4, 2, 5]);
}

/** left · right in float64, for weights of that type. */
export async function productInFloat64(pair: Pair, signal: AbortSignal | undefined): Promise<Float64Array> {
  const multiply = (left: Matrix64, right: Matrix64): Promise<Matrix64> => multiplyInFloat64(left, right, signal);
  const product = await sidesOf<Float64Array>(pair, (weight) => weight.dataInFloat64(), multiply);
  const products: Matrix64[] = [];
  for (const one of splitGroups(product, groupsOf(pair.geometry))) products.push(await multiply(one.left, one.right));
  return stackRows(products).data;
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

/** The product of a pair's factors, of several groups rows below rows, as the weight of the one layer: [out, in, kh, kw], [out, in] or [in, out] (of each group). */
export function productWeight<Data extends Floats>(pair: Pair, product: Data, outputMajor: boolean): Data {
  const { geometry, form } = pair;
  if (isConvolution(form)) {
    const [kh, kw] = geometry.kernel;
    const last = factorGeometries(pair).at(-1)!;
    const [h, w] = last.kernel;
    return joinWindows(product, last, geometry.in / groupsOf(geometry), [kh / h, kw / w]);
  }
  const groups = groupsOf(geometry);
  return outputMajor ? product : permute(product, [groups, geometry.out / groups, geometry.in / groups], [0, 2, 1]);
}
