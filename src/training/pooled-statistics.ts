import { LowrankError, throwIfAborted } from '../errors.js';
import type { CalibrationBatch } from '../factorize/calibration/types.js';
import type { Session } from '../runtime/types.js';
import type { Observed } from '../rewrite/statistics-graph.js';

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

export interface PoolContext {
  /** Of the model's file, for messages. */
  readonly path: string;
  readonly signal: AbortSignal | undefined;
  /** Counts images. */
  readonly onImages: (done: number) => void;
}

/**
 * Runs batches through a model that observes (`observeStatistics`) and pools what its normalizations had, by layer. Throws
 * NUMERIC where that is not finite, RUNTIME, ABORTED.
 */
export async function poolObserved(
  session: Session,
  observed: readonly Observed[],
  batches: AsyncIterable<CalibrationBatch>,
  { path, signal, onImages }: PoolContext,
): Promise<{ readonly pools: ReadonlyMap<string, PooledStatistics>; readonly images: number }> {
  const pools = new Map<string, PooledStatistics>();
  let done = 0;
  for await (const { feeds, size } of batches) {
    throwIfAborted(signal);
    if (size === 0) continue;
    const results = await session.run(feeds, undefined, { signal });
    for (const { layer, mean, variance, shape } of observed) {
      const means = results[mean]!.data as Float32Array;
      const variances = results[variance]!.data as Float32Array;
      if (!means.every(Number.isFinite) || !variances.every(Number.isFinite)) {
        throw new LowrankError('NUMERIC', `statistics are not finite behind ${done} images`, {
          place: `${path}, the BatchNormalization of '${layer}'`,
          remedy: 'check --normalization, or raise the ranks',
        });
      }
      const channels = means.length;
      const count = Array.from(results[shape]!.data, Number).reduce((product, dim) => product * dim, 1) / channels;
      const pool = pools.get(layer) ?? poolStatistics(channels);
      pools.set(layer, pool);
      pool.add(count, means, variances);
    }
    done += size;
    onImages(done);
  }
  return { pools, images: done };
}
