import type { Matrix64 } from '../../linalg/types.js';
import type { Moments } from './types.js';

/** Share of the mean square that every direction has at least: far below what a factorization keeps, far above rounding. */
const floor = 1e-6;

/**
 * M̃ = (1 − α)·E[xxᵀ] + α·(tr E[xxᵀ] / n)·I: what was seen too rarely, or never (channels that are always 0, fewer patches
 * than a patch has numbers), counts as if it were like the mean of all. α by Chen, Wiesel, Eldar and Hero ("Shrinkage
 * algorithms for MMSE covariance estimation", 2010, OAS): it falls with the number of patches and rises the flatter the
 * spectrum is. Positive definite but for inputs that are 0 throughout, where it is I.
 */
export function regularize({ second, count }: Moments): { readonly second: Matrix64; readonly shrinkage: number } {
  const { rows: n, data } = second;
  let trace = 0;
  for (let i = 0; i < n; i++) trace += data[i * (n + 1)]!;
  let square = 0;
  for (const value of data) square += value * value;
  const result = new Float64Array(data.length);
  if (!(trace > 0)) {
    for (let i = 0; i < n; i++) result[i * (n + 1)] = 1;
    return { second: { rows: n, cols: n, data: result }, shrinkage: 1 };
  }
  const numerator = (1 - 2 / n) * square + trace * trace;
  const denominator = (count + 1 - 2 / n) * (square - (trace * trace) / n);
  const optimum = denominator > 0 ? numerator / denominator : 1;
  const shrinkage = Math.min(1, Math.max(floor, optimum));
  const diagonal = (shrinkage * trace) / n;
  for (let i = 0; i < data.length; i++) result[i] = (1 - shrinkage) * data[i]!;
  for (let i = 0; i < n; i++) result[i * (n + 1)] = result[i * (n + 1)]! + diagonal;
  return { second: { rows: n, cols: n, data: result }, shrinkage };
}
