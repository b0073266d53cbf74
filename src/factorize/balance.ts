import type { Matrix } from '../linalg/types.js';
import type { FactorPair } from '../rewrite/types.js';
import type { Moments } from './calibration/types.js';
import { meanBlock } from './inits/support/reduced-rank.js';

/** What the free scale between two factors makes even: `weight`, the norms of both factors; `activation`, what lies between them. */
export const balances = ['weight', 'activation'] as const;

export type Balance = (typeof balances)[number];

/**
 * The same product with what lies between the factors even: every channel there has a mean square of the mean of all, on the
 * images where `moments` (in the order of the matrix) are given, for x ~ N(0, I) where not. A quantizer that has one scale for all of
 * them then rounds each by as much of its range. Channels that are always 0 stay as they are.
 */
export function balanceActivations(
  { left, right, inner }: FactorPair,
  rowsPerNeuron: number,
  moments: Moments | undefined,
): FactorPair {
  const { rows: rank, cols } = right;
  const second = moments === undefined ? undefined : meanBlock(moments.second, rowsPerNeuron).data;
  const squares = Float64Array.from({ length: rank }, (_, k) => {
    const row = right.data.subarray(k * cols, (k + 1) * cols);
    return second === undefined ? dot(row, row) : quadratic(row, second);
  });
  const mean = Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / Math.max(1, rank));
  const factors = squares.map((square) => (square > 0 && mean > 0 ? mean / Math.sqrt(square) : 1));
  const scaled = (matrix: Matrix): Matrix => ({
    ...matrix,
    data: matrix.data.map((value, at) => value * factors[Math.floor(at / matrix.cols)]!),
  });
  return {
    left: { ...left, data: left.data.map((value, at) => value / factors[at % rank]!) },
    right: scaled(right),
    ...(inner === undefined ? {} : { inner: { ...inner, core: scaled(inner.core) } }),
  };
}

function dot(one: ArrayLike<number>, other: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < one.length; i++) sum += one[i]! * other[i]!;
  return sum;
}

/** xᵀMx */
function quadratic(x: ArrayLike<number>, matrix: Float64Array): number {
  const n = x.length;
  let sum = 0;
  for (let i = 0; i < n; i++) sum += x[i]! * dot(matrix.subarray(i * n, (i + 1) * n), x);
  return sum;
}
