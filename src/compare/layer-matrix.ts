import { matrixShape } from '../rewrite/geometry.js';
import type { FactorizableLayer } from '../rewrite/layers.js';
import { isOutputMajor, toMatrix } from '../rewrite/layout.js';
import type { Matrix } from '../linalg/types.js';
import type { Scheme } from '../contracts/convert.js';

/** The weight of a layer as the matrix of a scheme. */
export function layerMatrix(
  { weight, geometry, form, node }: FactorizableLayer,
  scheme: Scheme,
): { readonly weight: Matrix; readonly rowsPerNeuron: number } {
  const { rowsPerNeuron } = matrixShape(geometry, scheme);
  return {
    weight: toMatrix(weight.data(), geometry, scheme, isOutputMajor(form, node.int('transB', 0))),
    rowsPerNeuron,
  };
}
