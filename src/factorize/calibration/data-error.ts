import type { Linalg, Matrix, Matrix64 } from '../../linalg/types.js';
import type { FactorPair } from '../../rewrite/types.js';
import type { Moments } from './types.js';

type Layer = { readonly weight: Matrix; readonly rowsPerNeuron: number; readonly linalg: Linalg };

/** W − Ŵ with one row per neuron. */
async function difference({ weight, rowsPerNeuron, linalg }: Layer, { left, right }: FactorPair): Promise<Matrix64> {
  const { data } = await linalg.gemm64(left, right);
  for (let i = 0; i < data.length; i++) data[i] = weight.data[i]! - data[i]!;
  return { rows: weight.rows / rowsPerNeuron, cols: weight.cols * rowsPerNeuron, data };
}

/** (W − Ŵ)·E[x]: what a bias must add for the layer's outputs to stay as they are in the mean. */
export async function meanError(layer: Layer, pair: FactorPair, moments: Moments): Promise<Float32Array> {
  const { rows, cols, data } = await difference(layer, pair);
  const result = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let col = 0; col < cols; col++) sum += data[row * cols + col]! * moments.mean[col]!;
    result[row] = sum;
  }
  return result;
}

/**
 * sqrt(E‖Ŵx + shift − Wx‖² / E‖Wx‖²) over the patches that the moments were taken of; the layer's own bias cancels.
 * 0 where both are 0.
 */
export async function dataErrorOf(
  layer: Layer,
  pair: FactorPair,
  shift: ArrayLike<number> | undefined,
  { second, mean }: Moments,
): Promise<number> {
  const { linalg, weight, rowsPerNeuron } = layer;
  const delta = await difference(layer, pair);
  const joint = { rows: weight.rows / rowsPerNeuron, cols: weight.cols * rowsPerNeuron, data: weight.data };
  const lost = await linalg.gemm64(delta, second);
  const full = await linalg.gemm64(joint, second);
  let error = 0;
  let scale = 0;
  for (let i = 0; i < delta.data.length; i++) {
    error += delta.data[i]! * lost.data[i]!;
    scale += joint.data[i]! * full.data[i]!;
  }
  for (let row = 0; shift !== undefined && row < delta.rows; row++) {
    let shifted = 0;
    for (let col = 0; col < delta.cols; col++) shifted += delta.data[row * delta.cols + col]! * mean[col]!;
    error += shift[row]! * (shift[row]! - 2 * shifted);
  }
  if (!(scale > 0)) return error > 0 ? Infinity : 0;
  return Math.sqrt(Math.max(0, error) / scale);
}
