import type { Pair } from '../factorize/find-pairs.js';
import { isOutputMajor, toMatrix } from '../factorize/layout.js';
import type { FactorPair } from '../factorize/types.js';
import type { Matrix } from '../linalg/types.js';
import { permute } from '../ops/support/permute.js';

/**
 * The factors of a pair as matrices: left · right is its product, with rows (out, second kernel) and columns
 * (in, first kernel). The α of a Gemm that comes first is in `right`; that of one that comes second stays with the layer,
 * as it does for a layer that is not factorized.
 */
export function pairFactors(pair: Pair): FactorPair {
  const { first, second, rank, matrix } = pair;
  const layoutOf = ({ form, node }: Pair['first']): boolean => isOutputMajor(form, node.int('transB', 0));
  const scheme = pair.form === 'conv' ? 'channel' : 'dense';
  const right = toMatrix(first.weight.data(), first.geometry, scheme, layoutOf(first));
  const alpha = first.form === 'gemm' ? first.node.float('alpha', 1) : 1;
  if (alpha !== 1) for (let i = 0; i < right.data.length; i++) right.data[i] = alpha * right.data[i]!;
  const data = second.weight.data();
  if (pair.form !== 'conv') return { left: toMatrix(data, second.geometry, scheme, layoutOf(second)), right };
  const dims = [second.geometry.out, rank, ...second.geometry.kernel];
  return { left: { rows: matrix.rows, cols: rank, data: permute(data, dims, [0, 2, 3, 1]) }, right };
}

/** The product of a pair's factors as the weight of the one layer: [out, in, kh, kw], [out, in] or [in, out]. */
export function productWeight(pair: Pair, product: Matrix, outputMajor: boolean): Float32Array {
  const { first, second, geometry, form } = pair;
  if (form === 'conv') {
    const [h2, w2] = second.geometry.kernel;
    const [h1, w1] = first.geometry.kernel;
    // Along each axis one of the two kernels is 1, so (h2, h1) is kh and (w2, w1) is kw.
    return permute(product.data, [geometry.out, h2, w2, geometry.in, h1, w1], [0, 3, 1, 4, 2, 5]);
  }
  return outputMajor ? product.data : permute(product.data, [geometry.out, geometry.in], [1, 0]);
}
