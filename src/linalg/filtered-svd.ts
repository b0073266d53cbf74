import { planFilter, refiningDegree } from './filter-plan.js';
import { lowerGram, wholeGram } from './gram.js';
import type { Operand } from './operand.js';
import { choleskyQr, orthonormalRows } from './orthonormal.js';
import { fillRandom, randomBlock } from './random-block.js';
import { estimateSpectrum } from './spectrum-estimate.js';
import { type Matrix32, type Matrix64, type SingularTriplets, type SvdTask, zeros32, zeros64 } from './svd-task.js';

/** ‖A − Â‖_F may exceed the optimum by this fraction, by an estimate that errs upwards; the promise is 1e-4. */
const acceptedExcess = 8e-5;
const mostRounds = 3;
/** Eigenvalues below this fraction of the largest drown in the float32 Gram matrix. */
const leastCut = 1e-5;

/**
 * Truncated SVD by Chebyshev-filtered subspace iteration on the Gram matrix (Zhou, Saad, Tiago and Chelikowsky 2006), the
 * products in float32: filter a random block, orthonormalize, Rayleigh–Ritz, until the estimated excess error is small.
 * undefined where float32 does not carry it: spectra that fall too far before the rank ends, a tail of almost nothing.
 */
export async function filteredSvd(task: SvdTask): Promise<SingularTriplets | undefined> {
  const gram = task.memory.take(task.n, task.n);
  try {
    return await filteredTriplets(task, gram);
  } finally {
    task.memory.give(gram);
  }
}

/** `filteredSvd` with memory for the Gram matrix. */
async function filteredTriplets(task: SvdTask, gram: Operand): Promise<SingularTriplets | undefined> {
  const { products, scratch, memory, a, n, rank, seed, signal } = task;
  await wholeGram(task, a, gram, { signal });
  const spectrum = await estimateSpectrum(products, gram, n, seed, signal);
  let plan = planFilter(spectrum, task);
  const start = scratch.take32(plan.size, n);
  fillRandom(start.data, seed, 'start');
  let block = await memory.move(start);
  for (let round = 0; round < mostRounds; round++) {
    if (!(plan.cut > leastCut * spectrum.largest)) return undefined;
    const { cut: shift } = plan;
    await memory.edit(gram, (g) => shiftGram(g, n, shift));
    const basis = await filterBlock(task, gram, block, plan.degrees);
    memory.give(block);
    if (basis === undefined) return undefined;
    const ritz = await rayleighRitz(task, basis);
    if (drownsInRounding(task, ritz.values)) return undefined;
    const excess = await excessEstimate(task, gram, plan.cut, ritz, basis);
    if (excess <= acceptedExcess) {
      const result = await triplets(task, basis, ritz);
      memory.give(basis, ritz.image);
      return result;
    }
    memory.give(ritz.image);
    // Once more from here.
    await memory.edit(gram, (g) => unshiftGram(g, n, shift));
    block = basis;
    const [largest, last] = [ritz.values[0]!, ritz.values[rank - 1]!];
    // Ritz values are lower bounds: the middle of the surplus ones is a safe end of the unwanted.
    const cut = Math.min(plan.cut, ritz.values[(rank + plan.size) >> 1]!);
    plan = { size: plan.size, cut, degrees: [refiningDegree(excess, { largest, last, cut })] };
  }
  return undefined;
}

/** Ritz values and vectors of A Aᵀ in the space of an orthonormal basis, from A itself: nothing is squared twice. */
interface Ritz {
  /** All, largest first. */
  readonly values: Float64Array;
  /** rank × p: coefficients of the leading Ritz vectors in the basis. */
  readonly coefficients: Matrix64;
  /** p × m: basis · A. */
  readonly image: Operand;
}

async function rayleighRitz(task: SvdTask, basis: Operand): Promise<Ritz> {
  const { products, workers, memory, a, m, rank, signal } = task;
  const p = basis.rows;
  const image = memory.take(p, m);
  await products.multiply(basis, a, image, { signal });
  const projected = zeros64(p, p);
  await lowerGram(task, image, projected, { inFloat64: true, signal });
  const { values, vectors } = await workers.solve({ kind: 'eigen', matrix: projected.data, n: p, count: rank }, signal);
  return { values, coefficients: { rows: rank, cols: p, data: vectors }, image };
}

/** Σ of the eigenvalues beyond the rank: ‖A − Â‖_F². */
function tailOf({ rank, squaredNorm }: SvdTask, values: Float64Array): number {
  let tail = squaredNorm;
  for (let i = 0; i < rank; i++) tail -= values[i]!;
  return tail;
}

/**
 * Whether rounding in the float32 Gram matrix could cost more than a tenth of the accepted excess. Its entries are wrong
 * by about 1.2e-7 of the mean eigenvalue, which to second order mixes each of the `rank` leading eigenvectors with each of
 * the others; their gaps are of the order of the last leading eigenvalue.
 */
function drownsInRounding(task: SvdTask, values: Float64Array): boolean {
  const { rank, n, squaredNorm } = task;
  const noise = (rank * (n - rank) * ((1.2e-7 * squaredNorm) / n) ** 2) / values[rank - 1]!;
  return !(noise < 0.1 * acceptedExcess * 2 * tailOf(task, values));
}

async function triplets(
  { products, n, m, rank, signal }: SvdTask,
  basis: Operand,
  { values, coefficients, image }: Ritz,
): Promise<SingularTriplets> {
  const singular = values.slice(0, rank).map((value) => Math.sqrt(value));
  const scaled = new Float64Array(coefficients.data.length);
  for (let i = 0; i < rank; i++) {
    const scale = 1 / singular[i]!;
    for (let at = i * image.rows; at < (i + 1) * image.rows; at++) scaled[at] = coefficients.data[at]! * scale;
  }
  const near = zeros32(rank, n);
  await products.multiply(coefficients, basis, near, { signal });
  const far = zeros32(rank, m);
  // In float32 the rows of the image, as long as σ₁, would leave errors of 6e-8 · σ₁ / σ in vectors of length 1.
  const inFloat64 = singular[rank - 1]! < 0.05 * singular[0]!;
  await products.multiply({ ...coefficients, data: scaled }, image, far, { inFloat64, signal });
  return { values: singular, near, far };
}

/** Orthonormal rows spanning the filtered block, with 2 X in `doubled`. */
async function filterBlock(
  task: SvdTask,
  doubled: Operand,
  start: Operand,
  degrees: readonly number[],
): Promise<Operand | undefined> {
  let block = start;
  for (const [stage, degree] of degrees.entries()) {
    const filtered = await chebyshev(task, doubled, block, degree);
    const isLast = stage === degrees.length - 1;
    const basis = isLast ? await orthonormalRows(task, filtered) : await choleskyQr(task, filtered);
    task.memory.give(filtered);
    if (block !== start) task.memory.give(block);
    if (basis === undefined) return undefined;
    block = basis;
  }
  return block;
}

/** T_degree(X) applied to the block: T_{j+1} = 2 X T_j − T_{j−1}. */
async function chebyshev(
  { products, memory, signal }: SvdTask,
  doubled: Operand,
  block: Operand,
  degree: number,
): Promise<Operand> {
  const { rows, cols } = block;
  let previous = block;
  let current = memory.take(rows, cols);
  await products.multiply(block, doubled, current, { alpha: 0.5, signal });
  // T_{j−2} is no longer needed, but the start block belongs to the caller.
  let free: Operand | undefined;
  for (let j = 1; j < degree; j++) {
    const next = free ?? memory.take(rows, cols);
    await products.multiply(current, doubled, next, { add: { matrix: previous, sign: -1 }, signal });
    free = j === 1 ? undefined : previous;
    previous = current;
    current = next;
  }
  if (free !== undefined) memory.give(free);
  if (previous !== block) memory.give(previous);
  return current;
}

/** G → 2 X = (4 / cut) G − 2: eigenvalues on [0, cut] go to [−2, 2]. */
function shiftGram(g: Float32Array, n: number, cut: number): void {
  const scale = 4 / cut;
  for (let i = 0; i < g.length; i++) g[i] = g[i]! * scale;
  for (let i = 0; i < n; i++) g[i * n + i] = g[i * n + i]! - 2;
}

function unshiftGram(g: Float32Array, n: number, cut: number): void {
  for (let i = 0; i < n; i++) g[i * n + i] = g[i * n + i]! + 2;
  const scale = cut / 4;
  for (let i = 0; i < g.length; i++) g[i] = g[i]! * scale;
}

/** Random vectors of the excess estimate. */
const probes = 16;

/**
 * An estimate of ‖A − Â‖_F / optimum − 1. What the space misses of ‖A‖², Σ (λᵢ − θᵢ) over the leading Ritz values θ, is to
 * second order Σ ‖rᵢ‖² / (θᵢ − μ), rᵢ the residuals of the Ritz vectors and μ a mean of the eigenvalues that they consist
 * of. With the cut for μ it is far too much; with the Rayleigh quotient of the residuals, 0.6 to 1 times the truth; with
 * the middle of the two, 1 to 1.7 times (on Gaussian, ternary and trained spectra).
 */
async function excessEstimate(
  task: SvdTask,
  doubled: Operand,
  cut: number,
  ritz: Ritz,
  basis: Operand,
): Promise<number> {
  const scale = 1 / (2 * tailOf(task, ritz.values));
  const upper = await weightedResiduals(task, doubled, cut, ritz, basis, cut);
  if (upper.sum * scale <= acceptedExcess) return upper.sum * scale;
  const image = zeros32(probes, task.n);
  await task.products.multiply(upper.residuals, doubled, image, { signal: task.signal });
  let quotient = 0;
  let norm = 0;
  for (let i = 0; i < image.data.length; i++) {
    const r = upper.residuals.data[i]!;
    quotient += r * (cut / 4) * (image.data[i]! + 2 * r);
    norm += r * r;
  }
  const outside = (cut + Math.min(cut, quotient / norm)) / 2;
  return (await weightedResiduals(task, doubled, cut, ritz, basis, outside)).sum * scale;
}

/** Random combinations of the rᵢ / √(θᵢ − outside), and with them an estimate of the sum of their squares (Hutchinson 1989). */
async function weightedResiduals(
  { products, n, rank, seed, signal }: SvdTask,
  doubled: Operand,
  cut: number,
  { values, coefficients }: Ritz,
  basis: Operand,
  outside: number,
): Promise<{ readonly residuals: Matrix32; readonly sum: number }> {
  const signs = randomBlock(probes, rank, seed, 'check');
  // Row c: signs / √gap; row probes + c: the same times θ.
  const weights = zeros32(2 * probes, rank);
  for (let i = 0; i < rank; i++) {
    const theta = values[i]!;
    const weight = 1 / Math.sqrt(Math.max(theta - outside, 1e-3 * theta));
    for (let c = 0; c < probes; c++) {
      const signed = signs[c * rank + i]! < 0 ? -weight : weight;
      weights.data[c * rank + i] = signed;
      weights.data[(probes + c) * rank + i] = signed * theta;
    }
  }
  const inBasis = zeros32(2 * probes, basis.rows);
  await products.multiply(weights, coefficients, inBasis, { signal });
  const x = zeros32(2 * probes, n);
  await products.multiply(inBasis, basis, x, { signal });
  const half = { rows: probes, cols: n, data: x.data.subarray(0, probes * n) };
  const residuals = zeros32(probes, n);
  await products.multiply(half, doubled, residuals, { signal });
  let sum = 0;
  for (let i = 0; i < residuals.data.length; i++) {
    const residual = (cut / 4) * (residuals.data[i]! + 2 * half.data[i]!) - x.data[probes * n + i]!;
    residuals.data[i] = residual;
    sum += residual * residual;
  }
  return { residuals, sum: sum / probes };
}
