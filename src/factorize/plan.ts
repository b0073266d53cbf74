import { LowrankError, throwIfAborted } from '../errors.js';
import type { Linalg } from '../linalg/types.js';
import type { Scheme } from '../report/contract.js';
import { type Choice, solveBudget } from './budget.js';
import type { Candidate } from './candidates.js';
import {
  breakEvenRank,
  fullMacs,
  macsPerRank,
  matrixShape,
  maxRank,
  paramsPerRank,
  schemesOf,
  weightCount,
} from './geometry.js';
import { isOutputMajor, toMatrix } from './layout.js';
import type { ConvertSettings, RankMode } from './settings.js';

/** A pair to try on a layer. */
export interface Trial {
  readonly scheme: Scheme;
  readonly rank: number;
}

/** What to do with a candidate: try these pairs and take the one with the smallest function error, or keep it. */
export type Plan =
  | { readonly candidate: Candidate; readonly trials: readonly [Trial, ...Trial[]]; readonly note: string }
  | { readonly candidate: Candidate; readonly trials: null; readonly note: string };

export interface PlanContext {
  readonly settings: ConvertSettings;
  readonly linalg: Linalg;
  /** Of the whole original model. */
  readonly totals: { readonly params: number; readonly macs: number };
  /** Milliseconds of the whole model and of a candidate's variants; needed by a latency budget. */
  readonly latency?: LatencySource;
  readonly onProgress?: (done: number, total: number, detail: string) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface LatencySource {
  readonly totalMs: number;
  /** Of all layers of the candidate together; the first entry is the layer as it is. */
  measure(candidate: Candidate, trials: readonly Trial[]): Promise<number[]>;
}

/** Chooses scheme and rank of every candidate. Throws USAGE for impossible ranks and budgets. */
export async function planRanks(candidates: readonly Candidate[], context: PlanContext): Promise<Plan[]> {
  const { rankMode } = context.settings;
  switch (rankMode.kind) {
    case 'scale':
      return candidates.map((candidate) => planByScale(candidate, rankMode, context.settings));
    case 'ranks':
      return planByNames(candidates, rankMode, context.settings);
    case 'energy':
      return planByEnergy(candidates, rankMode.fraction, context);
    case 'budget':
      return planByBudget(candidates, rankMode, context);
  }
}

/** Schemes that the settings allow for a candidate. */
function allowedSchemes(candidate: Candidate, settings: ConvertSettings): readonly Scheme[] {
  const { layer } = candidate;
  const schemes = schemesOf(layer.geometry, layer.form !== 'conv');
  if (settings.scheme === 'auto' || schemes.length === 1) return schemes;
  return schemes.filter((scheme) => scheme === settings.scheme);
}

/** MACs of all layers of a candidate, as they are and per rank of a scheme. */
function macsOf(candidate: Candidate): number {
  return candidate.layers.reduce((sum, { geometry }) => sum + fullMacs(geometry), 0);
}

function macsPerRankOf(candidate: Candidate, scheme: Scheme): number {
  return candidate.layers.reduce((sum, { geometry }) => sum + macsPerRank(geometry, scheme), 0);
}

/** Why a pair of this rank would not be a gain; undefined where it is one. */
function refusal(candidate: Candidate, { scheme, rank }: Trial, settings: ConvertSettings): string | undefined {
  if (settings.allowBigger) return undefined;
  const { geometry } = candidate.layer;
  const params = (rank * paramsPerRank(geometry, scheme)) / weightCount(geometry);
  const macs = (rank * macsPerRankOf(candidate, scheme)) / macsOf(candidate);
  if (params < 1 && macs < 1) return undefined;
  const breakEven = breakEvenRank(geometry, scheme);
  const worse = params >= macs ? `${params.toFixed(2)}× the parameters` : `${macs.toFixed(2)}× the MACs`;
  const limit = breakEven === 0 ? 'no rank saves anything' : `ranks up to ${breakEven} save`;
  return `a ${scheme} pair of rank ${rank} would have ${worse}; ${limit}`;
}

/** Rounded to a multiple, at least one multiple, at most the full rank. */
function toMultiple(rank: number, multiple: number, limit: number): number {
  return Math.max(1, Math.min(limit, Math.max(multiple, Math.round(rank / multiple) * multiple)));
}

/** rank = max(1, round(scale · min(rows, cols))), or round(scale · out·kh) clamped to min(rows, cols) (Khodak et al.). */
function planByScale(
  candidate: Candidate,
  mode: Extract<RankMode, { kind: 'scale' }>,
  settings: ConvertSettings,
): Plan {
  const { geometry } = candidate.layer;
  const schemes = allowedSchemes(candidate, settings);
  const rankFor = (scheme: Scheme): number => {
    const { rows, cols } = matrixShape(geometry, scheme);
    const limit = Math.min(rows, cols);
    const base = mode.base === 'out' ? rows : limit;
    return toMultiple(Math.min(limit, Math.max(1, Math.round(mode.scale * base))), settings.rankMultiple, limit);
  };
  const trials = schemes.map((scheme): Trial => ({ scheme, rank: rankFor(scheme) }));
  const [first, second] = trials;
  if (first === undefined) return { candidate, trials: null, note: `no ${settings.scheme} scheme for this layer` };
  if (second !== undefined && mode.scale < 1) {
    // The scheme that comes second gets the rank that costs as many MACs as the first, so that the errors compare.
    const equal = Math.floor(
      (first.rank * macsPerRankOf(candidate, first.scheme)) / macsPerRankOf(candidate, second.scheme),
    );
    const limit = maxRank(geometry, second.scheme);
    trials[1] = {
      scheme: second.scheme,
      rank: toMultiple(Math.max(1, Math.min(limit, equal)), settings.rankMultiple, limit),
    };
  }
  return choose(candidate, trials, settings, `rank scale ${mode.scale}`);
}

/** Keeps the trials that are a gain; the candidate, with the first refusal as its reason, where none is. */
function choose(candidate: Candidate, trials: readonly Trial[], settings: ConvertSettings, note: string): Plan {
  const [first, ...others] = trials.filter((trial) => refusal(candidate, trial, settings) === undefined);
  if (first !== undefined) return { candidate, trials: [first, ...others], note };
  return { candidate, trials: null, note: refusal(candidate, trials[0]!, settings)! };
}

function planByNames(
  candidates: readonly Candidate[],
  mode: Extract<RankMode, { kind: 'ranks' }>,
  settings: ConvertSettings,
): Plan[] {
  const left = new Map(mode.ranks);
  const plans = candidates.map((candidate): Plan => {
    const name = candidate.layers.map((layer) => layer.name).find((layer) => left.has(layer));
    if (name === undefined) return { candidate, trials: null, note: 'not named in --ranks' };
    const wanted = left.get(name)!;
    left.delete(name);
    if (wanted === 'keep') return { candidate, trials: null, note: 'kept by --ranks' };
    const trials = allowedSchemes(candidate, settings).map((scheme): Trial => ({ scheme, rank: wanted }));
    const first = trials[0]!;
    const limit = maxRank(candidate.layer.geometry, first.scheme);
    if (!Number.isInteger(wanted) || wanted < 1 || wanted > limit) {
      throw new LowrankError('USAGE', `rank ${wanted} for layer '${name}' is impossible`, {
        remedy: `give a whole number from 1 to ${limit}`,
      });
    }
    return choose(candidate, [first], settings, 'rank from --ranks');
  });
  const [unknown] = left.keys();
  if (unknown === undefined) return plans;
  throw new LowrankError('USAGE', `--ranks names '${unknown}', which is no layer that can be factorized`, {
    remedy: 'see `lowrank-inspect` for the names',
  });
}

/** Squared singular values of each allowed scheme, largest first. */
async function spectra(
  candidates: readonly Candidate[],
  context: PlanContext,
): Promise<Map<Candidate, Map<Scheme, Float64Array>>> {
  const result = new Map<Candidate, Map<Scheme, Float64Array>>();
  let done = 0;
  for (const candidate of candidates) {
    throwIfAborted(context.signal);
    const { layer } = candidate;
    const data = layer.weight.data();
    const outputMajor = isOutputMajor(layer.form, layer.node.int('transB', 0));
    const bySchemes = await Promise.all(
      allowedSchemes(candidate, context.settings).map(async (scheme) => {
        const matrix = toMatrix(data, layer.geometry, scheme, outputMajor);
        const values = await context.linalg.singularValues(matrix, { signal: context.signal });
        return [scheme, values.map((value) => value * value)] as const;
      }),
    );
    result.set(candidate, new Map(bySchemes));
    done++;
    context.onProgress?.(done, candidates.length, layer.name);
  }
  return result;
}

/** tail[r] = fraction of ‖W‖²_F that the best approximation of rank r loses. */
function tailEnergies(squares: Float64Array): Float64Array {
  const tail = new Float64Array(squares.length + 1);
  for (let r = squares.length - 1; r >= 0; r--) tail[r] = tail[r + 1]! + squares[r]!;
  const total = tail[0]!;
  return total === 0 ? tail : tail.map((value) => value / total);
}

async function planByEnergy(candidates: readonly Candidate[], fraction: number, context: PlanContext): Promise<Plan[]> {
  const all = await spectra(candidates, context);
  return candidates.map((candidate): Plan => {
    const trials = [...all.get(candidate)!].map(([scheme, squares]): Trial => {
      const tail = tailEnergies(squares);
      const rank = Math.max(
        1,
        tail.findIndex((lost) => lost <= 1 - fraction + 1e-12),
      );
      const limit = maxRank(candidate.layer.geometry, scheme);
      const multiple = context.settings.rankMultiple;
      // Rounded up: less energy than was asked for would be a broken promise.
      return { scheme, rank: Math.min(limit, Math.ceil(rank / multiple) * multiple) };
    });
    // Both keep the energy; the one with fewer MACs is the better.
    trials.sort((a, b) => a.rank * macsPerRankOf(candidate, a.scheme) - b.rank * macsPerRankOf(candidate, b.scheme));
    return choose(candidate, trials.slice(0, 1), context.settings, `energy ${fraction}`);
  });
}

interface Option extends Choice {
  readonly trial: Trial | null;
}

/**
 * Minimizes the sum over layers of the lost fraction of ‖W‖²_F under the budget, with one price for cost for all layers.
 */
async function planByBudget(
  candidates: readonly Candidate[],
  mode: Extract<RankMode, { kind: 'budget' }>,
  context: PlanContext,
): Promise<Plan[]> {
  const all = await spectra(candidates, context);
  const total = mode.of === 'latency' ? (context.latency?.totalMs ?? 0) : context.totals[mode.of];
  const options: Option[][] = [];
  for (const candidate of candidates) {
    throwIfAborted(context.signal);
    options.push(
      mode.of === 'latency'
        ? await latencyOptions(candidate, all.get(candidate)!, context)
        : countedOptions(candidate, all.get(candidate)!, mode.of, context.settings),
    );
  }
  const current = options.reduce((sum, choices) => sum + choices[0]!.cost, 0);
  const budget = mode.fraction * total - (total - current);
  const picked = solveBudget(options, budget);
  if (picked === undefined) {
    const least = options.reduce((sum, choices) => sum + Math.min(...choices.map(({ cost }) => cost)), 0);
    const reachable = (total - current + least) / total;
    throw new LowrankError('USAGE', `--${mode.of}-budget ${mode.fraction} cannot be reached`, {
      remedy: `the smallest possible here is ${(Math.ceil(reachable * 1000) / 1000).toFixed(3)}; raise it, or factorize more layers (--no-keep-first, --no-keep-last)`,
    });
  }
  return candidates.map((candidate, index): Plan => {
    const { trial } = options[index]![picked[index]!]!;
    if (trial !== null) return { candidate, trials: [trial], note: `${mode.of} budget ${mode.fraction}` };
    const isNever = options[index]!.length === 1;
    const why = mode.of === 'latency' ? 'no rank that was measured is faster' : 'no rank saves anything';
    return { candidate, trials: null, note: isNever ? why : `${mode.of} budget ${mode.fraction} is met without it` };
  });
}

function countedOptions(
  candidate: Candidate,
  squares: ReadonlyMap<Scheme, Float64Array>,
  of: 'params' | 'macs',
  settings: ConvertSettings,
): Option[] {
  const { geometry } = candidate.layer;
  const full = of === 'params' ? weightCount(geometry) : macsOf(candidate);
  const options: Option[] = [{ trial: null, cost: full, error: 0 }];
  for (const [scheme, values] of squares) {
    const perRank = of === 'params' ? paramsPerRank(geometry, scheme) : macsPerRankOf(candidate, scheme);
    const tail = tailEnergies(values);
    const limit = breakEvenRank(geometry, scheme);
    for (let rank = settings.rankMultiple; rank <= limit; rank += settings.rankMultiple) {
      if (refusal(candidate, { scheme, rank }, settings) !== undefined) break;
      options.push({ trial: { scheme, rank }, cost: rank * perRank, error: tail[rank]! });
    }
  }
  return options;
}

/** Ranks worth measuring: a few between 1/16 and the break-even rank, in multiples that suit vector units. */
function ranksToMeasure(limit: number, multiple: number): number[] {
  const step = Math.max(multiple, limit >= 64 ? 8 : limit >= 16 ? 4 : 1);
  const ranks = [1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1].map((share) =>
    Math.max(multiple, Math.floor((share * limit) / step) * step),
  );
  return [...new Set(ranks)].filter((rank) => rank >= 1 && rank <= limit);
}

async function latencyOptions(
  candidate: Candidate,
  squares: ReadonlyMap<Scheme, Float64Array>,
  context: PlanContext,
): Promise<Option[]> {
  const { geometry } = candidate.layer;
  const trials = [...squares.keys()].flatMap((scheme) =>
    ranksToMeasure(breakEvenRank(geometry, scheme), context.settings.rankMultiple).map((rank): Trial => ({
      scheme,
      rank,
    })),
  );
  const [full = 0, ...times] = await context.latency!.measure(candidate, trials);
  const options: Option[] = [{ trial: null, cost: full, error: 0 }];
  trials.forEach((trial, index) => {
    const cost = times[index]!;
    // A pair that is not faster is refused, whatever it saves on paper.
    if (cost < full) options.push({ trial, cost, error: tailEnergies(squares.get(trial.scheme)!)[trial.rank]! });
  });
  return options;
}
