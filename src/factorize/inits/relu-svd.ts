import { createKernel } from '../activations/index.js';
import type { Matrix } from '../../linalg/types.js';
import { throwIfAborted } from '../../errors.js';
import type { Init, InitProblem } from '../types.js';
import type { FactorPair } from '../../rewrite/types.js';
import { createProfile, type Losses, type Profile } from './support/profile.js';
import { projectedEnergies, splitInPlace, withNorms } from './support/subspace.js';
import { groupEnergies, scaleColumns } from './support/matrix.js';

/**
 * Algorithm 3 of arXiv 2202.00834: the projection on that set of `rank` singular directions which loses least, every
 * neuron at its best norm. All sets are tried where they are few; otherwise directions are exchanged one for one, from the
 * leading ones, while that helps. Theorem 3.3 there calls the best set optimal among all subspaces; it is not: W =
 * diag(1.001, 1) loses 0.4493 with it and 0.4253 at the optimum, which `lfai` finds.
 */
export const reluSvd: Init = {
  name: 'relu-svd',
  summary:
    'the best set of singular directions, norms at their optimum; not the optimum over all subspaces (lfai is lower)',
  fit: fitReluSvd,
};

/** Evaluations (sets × neurons) that an exhaustive search may take. */
const exhaustiveWork = 2e6;
/** Evaluations that one round of exchanges may take. */
const exchangeWork = 2e5;
const mostExchanges = 200;

async function fitReluSvd(problem: InitProblem): Promise<FactorPair> {
  const { weight, rowsPerNeuron, rank, linalg, seed, signal } = problem;
  const count = Math.min(weight.rows, weight.cols);
  const { left, singularValues, right } = await linalg.truncatedSvd(weight, count, { seed, signal });
  const coordinates = scaleColumns(left, singularValues, left.data);
  const search: Search = {
    profile: createProfile(createKernel(problem.activation, 'coarse'), groupEnergies(weight, rowsPerNeuron)),
    shares: directionEnergies(coordinates, rowsPerNeuron),
    count,
    rank,
  };
  const neurons = weight.rows / rowsPerNeuron;
  const chosen =
    problem.activation.kind === 'linear'
      ? leading(rank)
      : subsets(count, rank) * neurons <= exhaustiveWork
        ? exhaustive(search, signal)
        : exchange(search, neurons, signal);
  const kept = pickColumns(coordinates, chosen);
  const energies = projectedEnergies(kept, rowsPerNeuron, search.profile.norms);
  const { norms } = search.profile.evaluate(energies);
  return splitInPlace({
    coordinates: withNorms(kept, rowsPerNeuron, energies, norms, seed),
    basis: pickRows(right, chosen),
  });
}

interface Search {
  readonly profile: Profile;
  /** shares[k][i] = what direction k holds of |wᵢ|². */
  readonly shares: readonly Float64Array[];
  readonly count: number;
  readonly rank: number;
}

function leading(rank: number): number[] {
  return Array.from({ length: rank }, (_, k) => k);
}

function energiesOf({ shares }: Search, chosen: readonly number[]): Float64Array {
  const energies = new Float64Array(shares[0]!.length);
  for (const k of chosen) shares[k]!.forEach((share, i) => (energies[i]! += share));
  return energies;
}

/** Every set of `rank` directions, in lexicographic order; the first of equals. */
function exhaustive(search: Search, signal: AbortSignal | undefined): readonly number[] {
  const { count, rank, profile } = search;
  const current = leading(rank);
  let best = [...current];
  let bestRisk = Infinity;
  for (;;) {
    throwIfAborted(signal);
    const { risk } = profile.evaluate(energiesOf(search, current));
    if (risk < bestRisk) {
      bestRisk = risk;
      best = [...current];
    }
    let at = rank - 1;
    while (at >= 0 && current[at] === count - rank + at) at--;
    if (at < 0) return best;
    current[at]!++;
    for (let next = at + 1; next < rank; next++) current[next] = current[next - 1]! + 1;
  }
}

/**
 * From the leading directions: exchanges one for one, the best of a short list each time, until none helps. The list holds
 * the members that first-order estimates count least and the others that they count most.
 */
function exchange(search: Search, neurons: number, signal: AbortSignal | undefined): readonly number[] {
  const { count, rank, profile, shares } = search;
  const listed = Math.max(2, Math.floor(Math.sqrt(exchangeWork / neurons)));
  let chosen = leading(rank);
  let losses = profile.evaluate(energiesOf(search, chosen));
  for (let round = 0; round < mostExchanges; round++) {
    throwIfAborted(signal);
    const energies = energiesOf(search, chosen);
    const values = firstOrderValues(search, energies, losses);
    const order = leading(count).sort((a, b) => values[b]! - values[a]! || a - b);
    const members = new Set(chosen);
    const out = order.filter((k) => members.has(k)).slice(-listed);
    const others = order.filter((k) => !members.has(k)).slice(0, listed);
    let best: { readonly chosen: number[]; readonly losses: Losses } | undefined;
    for (const leaving of out) {
      for (const entering of others) {
        const trial = energies.map((energy, i) => Math.max(0, energy - shares[leaving]![i]! + shares[entering]![i]!));
        const trialLosses = profile.evaluate(trial);
        if (trialLosses.risk < (best?.losses ?? losses).risk * (1 - 1e-9)) {
          best = {
            chosen: [...chosen.filter((k) => k !== leaving), entering].sort((a, b) => a - b),
            losses: trialLosses,
          };
        }
      }
    }
    if (best === undefined) break;
    ({ chosen, losses } = best);
  }
  return chosen;
}

/** Σᵢ −∂Rᵢ/∂(energy) · share, the slope bounded where a neuron is nearly orthogonal to the set. */
function firstOrderValues({ profile, shares }: Search, energies: Float64Array, losses: Losses): Float64Array {
  const slopes = energies.map((energy, i) => {
    const alpha = profile.norms[i]!;
    return alpha === 0 ? 0 : losses.gains[i]! / (2 * alpha * Math.sqrt(Math.max(energy, 0.01 * alpha * alpha)));
  });
  return Float64Array.from(shares, (share) => share.reduce((sum, part, i) => sum + part * slopes[i]!, 0));
}

function directionEnergies(coordinates: Matrix, rowsPerNeuron: number): Float64Array[] {
  const { rows, cols, data } = coordinates;
  const shares = Array.from({ length: cols }, () => new Float64Array(rows / rowsPerNeuron));
  for (let row = 0, at = 0; row < rows; row++) {
    const neuron = Math.floor(row / rowsPerNeuron);
    for (let k = 0; k < cols; k++, at++) shares[k]![neuron]! += data[at]! * data[at]!;
  }
  return shares;
}

/** C(n, k), up to rounding; Infinity where it overflows. */
function subsets(n: number, k: number): number {
  let result = 1;
  for (let i = 1; i <= Math.min(k, n - k); i++) result *= (n + 1 - i) / i;
  return result;
}

function pickColumns(a: Matrix, chosen: readonly number[]): Matrix {
  const data = new Float32Array(a.rows * chosen.length);
  for (let row = 0, at = 0; row < a.rows; row++) for (const k of chosen) data[at++] = a.data[row * a.cols + k]!;
  return { rows: a.rows, cols: chosen.length, data };
}

function pickRows(a: Matrix, chosen: readonly number[]): Matrix {
  const data = new Float32Array(chosen.length * a.cols);
  chosen.forEach((k, row) => data.set(a.data.subarray(k * a.cols, (k + 1) * a.cols), row * a.cols));
  return { rows: chosen.length, cols: a.cols, data };
}
