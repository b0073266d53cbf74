/** Mean and variance per channel over any number of batches, in float64; the memory does not grow with them. */
export interface PooledStatistics {
  /** Adds a batch of `count` elements per channel with the given mean and biased variance. */
  add(count: number, mean: ArrayLike<number>, variance: ArrayLike<number>): void;
  /** Elements per channel so far. */
  readonly count: number;
  readonly mean: Float64Array;
  /** Of all elements together, unbiased as PyTorch's running variance: the sum of squares over count − 1. */
  variance(): Float64Array;
}

/**
 * Chan, Golub and LeVeque's pairwise update (COMPSTAT 1982): with δ = m_B − m and n′ = n + n_B,
 * m ← m + δ n_B / n′, M₂ ← M₂ + n_B v_B + δ² n n_B / n′. The same as the statistics of all elements at once.
 */
export function poolStatistics(channels: number): PooledStatistics {
  const mean = new Float64Array(channels);
  const squares = new Float64Array(channels);
  let total = 0;
  return {
    mean,
    get count() {
      return total;
    },
    add(count, batchMean, batchVariance) {
      const sum = total + count;
      for (let channel = 0; channel < channels; channel++) {
        const delta = batchMean[channel]! - mean[channel]!;
        mean[channel]! += (delta * count) / sum;
        squares[channel]! += count * batchVariance[channel]! + (delta * delta * total * count) / sum;
      }
      total = sum;
    },
    variance: () => squares.map((value) => value / Math.max(1, total - 1)),
  };
}
