import type { Scheme } from '../../contracts/convert.js';
import { orderMoments } from '../calibration/scheme-order.js';
import type { Moments } from '../calibration/types.js';
import { matrixShape } from '../../rewrite/geometry.js';
import type { FactorizableLayer } from '../../rewrite/layers.js';
import { isOutputMajor, toMatrix } from '../../rewrite/layout.js';
import type { FactorPair } from '../../rewrite/types.js';

/** α·W·E[x], [out]: what the layer gives in the mean, without its bias. */
export function meanOf(layer: FactorizableLayer, { mean }: Moments): Float32Array {
  const { geometry, form, node, weight } = layer;
  const scheme = form === 'conv' ? 'channel' : 'dense';
  const { data, rows, cols } = toMatrix(weight.data(), geometry, scheme, isOutputMajor(form, node.int('transB', 0)));
  const alpha = factorOf(layer);
  const result = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let col = 0; col < cols; col++) sum += data[row * cols + col]! * mean[col]!;
    result[row] = alpha * sum;
  }
  return result;
}

/** out × rank: what each component of a pair gives in the mean. */
export function meansOf(
  layer: FactorizableLayer,
  scheme: Scheme,
  { left, right }: FactorPair,
  moments: Moments,
): Float32Array {
  const { geometry } = layer;
  const { rowsPerNeuron } = matrixShape(geometry, scheme);
  const { mean } = orderMoments(moments, geometry, scheme);
  const rank = left.cols;
  const width = right.cols;
  const alpha = factorOf(layer);
  /** What component k makes of the part of a patch that row y of a neuron sees. */
  const seen = new Float64Array(rowsPerNeuron * rank);
  for (let y = 0; y < rowsPerNeuron; y++) {
    for (let k = 0; k < rank; k++) {
      let sum = 0;
      for (let i = 0; i < width; i++) sum += right.data[k * width + i]! * mean[y * width + i]!;
      seen[y * rank + k] = alpha * sum;
    }
  }
  const result = new Float32Array(geometry.out * rank);
  for (let row = 0; row < left.rows; row++) {
    const neuron = Math.floor(row / rowsPerNeuron);
    const y = row % rowsPerNeuron;
    for (let k = 0; k < rank; k++) result[neuron * rank + k]! += left.data[row * rank + k]! * seen[y * rank + k]!;
  }
  return result;
}

/** What a layer multiplies its products by. */
function factorOf({ form, node }: FactorizableLayer): number {
  return form === 'gemm' ? node.float('alpha', 1) : 1;
}
