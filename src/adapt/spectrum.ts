import { LowrankError } from '../errors.js';
import type { Linalg, Matrix, Matrix64 } from '../linalg/types.js';

/** Singular values of S, a × b, and its right singular vectors. */
export interface CoreSpectrum {
  /** σ², largest first, min(a, b) of them. */
  readonly squares: Float64Array;
  /** Orthonormal rows, of the largest values: min(a, b) of them, or as many as were asked for. */
  readonly vectors: Matrix64;
}

/**
 * By the eigenvectors of SᵀS in float64: singular values below 1e-8 of the largest drown in its rounding. Of each vector the largest
 * number is positive. No more than `most` vectors are computed. Throws NUMERIC where S is not finite.
 */
export async function spectrumOf(linalg: Linalg, core: Matrix, name: string, most = core.cols): Promise<CoreSpectrum> {
  if (core.data.some((value) => !Number.isFinite(value))) {
    throw new LowrankError('NUMERIC', 'the coefficients of a layer are not finite', {
      place: name,
      remedy: 'train with a lower --lr, or with --clip 1',
    });
  }
  const { values, vectors } = await linalg.symmetricEigen(
    await linalg.gemm64(core, core, { transposeA: true }),
    Math.min(most, core.cols),
  );
  const full = Math.min(core.rows, core.cols);
  const count = Math.min(most, full);
  const squares = values.slice(0, full).map((value) => Math.max(0, value));
  const { cols } = core;
  const data = vectors.data.slice(0, count * cols);
  for (let i = 0; i < count; i++) {
    const row = data.subarray(i * cols, (i + 1) * cols);
    let largest = 0;
    for (const value of row) if (Math.abs(value) > Math.abs(largest)) largest = value;
    if (largest < 0) for (let j = 0; j < cols; j++) row[j] = -row[j]!;
  }
  return { squares, vectors: { rows: count, cols, data } };
}

/** By rank from 0 on: Σ σ² of what is cut off. */
export function tailsOf(squares: Float64Array): Float64Array {
  const tails = new Float64Array(squares.length + 1);
  for (let i = squares.length - 1; i >= 0; i--) tails[i] = tails[i + 1]! + squares[i]!;
  return tails;
}

/** The smallest rank whose tail is at most θ of the whole: ‖(σ_r, σ_{r+1}, …)‖₂ ≤ θ ‖σ‖₂. */
export function rankWithin(tails: Float64Array, tolerance: number): number {
  const most = tolerance ** 2 * tails[0]!;
  let rank = 0;
  while (rank < tails.length - 1 && tails[rank]! > most) rank++;
  return rank;
}
