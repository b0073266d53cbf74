import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../errors.js';
import type { Pair } from './find-pairs.js';
import { isOutputMajor } from './layout.js';
import type { FactorPair } from './types.js';
import type { ResolvedWeight } from '../ops/resolve-weight.js';
import { type Floats, permute } from '../ops/support/permute.js';

/**
 * The factors of a pair as matrices: left · right is its product, with rows (out, second kernel) and columns
 * (in, first kernel). The α of a Gemm that comes first is in `right`; that of one that comes second stays with the layer,
 * as it does for a layer that is not factorized.
 */
export function pairFactors(pair: Pair): FactorPair {
  const { left, right } = factors(pair, (weight) => weight.data());
  const { rows, cols } = pair.matrix;
  return { left: { rows, cols: pair.rank, data: left }, right: { rows: pair.rank, cols, data: right } };
}

function factors<Data extends Floats>(
  { first, second, rank, matrix, form }: Pair,
  read: (weight: ResolvedWeight) => Data,
): { readonly left: Data; readonly right: Data } {
  const rowMajor = (layer: Pair['first'], rows: number, cols: number): Data => {
    const data = read(layer.weight);
    return isOutputMajor(layer.form, layer.node.int('transB', 0)) ? data : permute(data, [cols, rows], [1, 0]);
  };
  const right = rowMajor(first, rank, matrix.cols);
  const alpha = first.form === 'gemm' ? first.node.float('alpha', 1) : 1;
  if (alpha !== 1) for (let i = 0; i < right.length; i++) right[i] = alpha * right[i]!;
  if (form !== 'conv') return { left: rowMajor(second, matrix.rows, rank), right };
  const dims = [second.geometry.out, rank, ...second.geometry.kernel];
  return { left: permute(read(second.weight), dims, [0, 2, 3, 1]), right };
}

/** left · right in float64, for weights of that type. */
export async function productInFloat64(pair: Pair, signal: AbortSignal | undefined): Promise<Float64Array> {
  const { left, right } = factors(pair, (weight) => weight.dataInFloat64());
  const { rank, matrix } = pair;
  const { rows, cols } = matrix;
  const product = new Float64Array(rows * cols);
  for (let i = 0; i < rows; i++) {
    if (i % 16 === 0) await setImmediate();
    throwIfAborted(signal);
    const row = product.subarray(i * cols, (i + 1) * cols);
    for (let k = 0; k < rank; k++) {
      const factor = left[i * rank + k]!;
      for (let j = 0; j < cols; j++) row[j] = row[j]! + factor * right[k * cols + j]!;
    }
  }
  return product;
}

/** The product of a pair's factors as the weight of the one layer: [out, in, kh, kw], [out, in] or [in, out]. */
export function productWeight<Data extends Floats>(pair: Pair, product: Data, outputMajor: boolean): Data {
  const { first, second, geometry, form } = pair;
  if (form === 'conv') {
    const [h2, w2] = second.geometry.kernel;
    const [h1, w1] = first.geometry.kernel;
    // Along each axis one of the two kernels is 1, so (h2, h1) is kh and (w2, w1) is kw.
    return permute(product, [geometry.out, h2, w2, geometry.in, h1, w1], [0, 3, 1, 4, 2, 5]);
  }
  return outputMajor ? product : permute(product, [geometry.out, geometry.in], [1, 0]);
}
