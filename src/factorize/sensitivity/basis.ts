import type { Linalg, Matrix, Matrix64 } from '../../linalg/types.js';
import { regularize } from '../calibration/regularize.js';
import type { Moments } from '../calibration/types.js';
import { gramOf, meanBlock } from '../inits/support/reduced-rank.js';
import { joinGroups, transpose } from '../../rewrite/layout.js';
import type { FactorPair } from '../../rewrite/types.js';

/** Nested pairs of a layer's matrix: the one of rank r has the first r columns of `left` and rows of `right`. */
export interface Basis {
  /** rows × most, orthonormal columns. */
  readonly left: Matrix;
  /** most × cols: leftᵀW. */
  readonly right: Matrix;
  /** Of each rank from 0 to `most`: the share of E‖Wx‖² that the pair loses. */
  readonly losses: Float64Array;
}

export interface BasisProblem {
  /** The matrix of the scheme, rowsPerNeuron rows a neuron (see InitProblem). */
  readonly weight: Matrix;
  readonly rowsPerNeuron: number;
  /** In the order of the scheme. */
  readonly moments: Moments;
  /** The highest rank. */
  readonly most: number;
  readonly linalg: Linalg;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The pairs of all ranks at once that lose least of what the layer computes: U·(UᵀW), where the columns of U are the leading
 * eigenvectors of WMWᵀ and M = E[xxᵀ] (see `reducedRank`). Of the spatial scheme, whose rows see different parts of a patch,
 * M is the mean of their moments: what couples them is left out, so that the fit that follows loses less than is said here.
 */
export async function basisOf(problem: BasisProblem): Promise<Basis> {
  const { weight, rowsPerNeuron, moments, most, linalg, signal } = problem;
  const second = meanBlock(regularize(moments).second, rowsPerNeuron);
  const { values, vectors } =
    weight.rows <= 1.5 * weight.cols
      ? await fromRows(weight, second, most, linalg, signal)
      : await fromColumns(weight, second, most, linalg, signal);
  const right = await linalg.gemm(vectors, weight);
  const total = values.reduce((sum, value) => sum + Math.max(0, value), 0);
  const { rows, cols } = vectors;
  const left = { rows: cols, cols: rows, data: transpose(vectors.data, rows, cols) };
  return { left, right, losses: lossesOf(values, total, most) };
}

/** The same for white inputs, of truncated SVD; the matrices of groups, whose pairs have one rank in common, together. */
export async function basisOfGroups(
  weights: readonly Matrix[],
  { most, linalg, signal }: Pick<BasisProblem, 'most' | 'linalg' | 'signal'>,
): Promise<Basis> {
  const energies = new Float64Array(most);
  let total = 0;
  const pairs: FactorPair[] = [];
  for (const weight of weights) {
    const { left } = await linalg.truncatedSvd(weight, most, { signal });
    const right = await linalg.gemm(left, weight, { transposeA: true });
    for (const value of weight.data) total += value * value;
    right.data.forEach((value, at) => (energies[Math.floor(at / right.cols)]! += value * value));
    pairs.push({ left, right });
  }
  return { ...joinGroups(pairs), losses: lossesOf(energies, total, most) };
}

/** The share of `total` that each rank from 0 to `most` loses, given what each component keeps. */
function lossesOf(energies: Float64Array, total: number, most: number): Float64Array {
  const losses = new Float64Array(most + 1);
  let kept = 0;
  for (let rank = 0; rank <= most; rank++) {
    losses[rank] = total > 0 ? Math.max(0, 1 - kept / total) : 0;
    kept += Math.max(0, energies[rank] ?? 0);
  }
  return losses;
}

/** Eigenvalues, largest first, and `count` eigenvectors as rows. */
interface Leading {
  readonly values: Float64Array;
  readonly vectors: Matrix;
}

async function fromRows(
  weight: Matrix,
  second: Matrix64,
  count: number,
  linalg: Linalg,
  signal: AbortSignal | undefined,
): Promise<Leading> {
  const gram = await gramOf(linalg, weight, second, signal);
  const { values, vectors } = await linalg.symmetricEigen(gram, count, { signal });
  return { values, vectors: toFloat32(vectors) };
}

/** Of a tall matrix, by way of RWᵀWR, R the root of M: U = WRv / σ. */
async function fromColumns(
  weight: Matrix,
  second: Matrix64,
  count: number,
  linalg: Linalg,
  signal: AbortSignal | undefined,
): Promise<Leading> {
  const root = await rootOf(second, linalg, signal);
  const scaled = await linalg.gemm64(weight, root, { signal });
  const gram = await linalg.gemm64(scaled, scaled, { transposeA: true, signal });
  const { values, vectors } = await linalg.symmetricEigen(gram, count, { signal });
  const images = await linalg.gemm64(vectors, scaled, { transposeB: true, signal });
  for (let row = 0; row < images.rows; row++) {
    const from = row * images.cols;
    let square = 0;
    for (let i = 0; i < images.cols; i++) square += images.data[from + i]! ** 2;
    const factor = square > 0 ? 1 / Math.sqrt(square) : 0;
    for (let i = 0; i < images.cols; i++) images.data[from + i]! *= factor;
  }
  return { values, vectors: toFloat32(images) };
}

/** The symmetric root of a positive semidefinite matrix. */
async function rootOf(second: Matrix64, linalg: Linalg, signal: AbortSignal | undefined): Promise<Matrix64> {
  const { values, vectors } = await linalg.symmetricEigen({ ...second, data: second.data.slice() }, second.rows, {
    signal,
  });
  const scaled = vectors.data.map(
    (value, at) => value * Math.sqrt(Math.sqrt(Math.max(0, values[Math.floor(at / vectors.cols)]!))),
  );
  const half = { ...vectors, data: scaled };
  return linalg.gemm64(half, half, { transposeA: true, signal });
}

function toFloat32({ rows, cols, data }: Matrix64): Matrix {
  return { rows, cols, data: Float32Array.from(data) };
}
