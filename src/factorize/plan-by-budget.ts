import { LowrankError, throwIfAborted } from '../errors.js';
import type { Scheme } from '../report/contract.js';
import { type Choice, solveBudget } from './budget.js';
import type { Candidate } from './candidates.js';
import { breakEvenRank, paramsPerRank, weightCount } from './geometry.js';
import { macsOf, macsPerRankOf, refusal } from './plan-choice.js';
import type { Plan, PlanContext, Trial } from './plan-types.js';
import type { ConvertSettings, RankMode } from './settings.js';
import { spectra, tailEnergies } from './spectra.js';

/** What can be done with a layer; without a trial, it is kept. */
export interface Option extends Choice {
  readonly trial: Trial | null;
}

/**
 * Minimizes the sum over layers of the lost fraction of ‖W‖²_F under the budget, with one price for cost for all layers.
 */
export async function planByBudget(
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

/** Every rank that is a gain, with its cost and the fraction of ‖W‖²_F that it loses; the first option keeps the layer. */
export function countedOptions(
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
export function ranksToMeasure(limit: number, multiple: number): number[] {
  const step = Math.max(multiple, limit >= 64 ? 8 : limit >= 16 ? 4 : 1);
  const ranks = [1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1].map((share) =>
    Math.max(multiple, Math.floor((share * limit) / step) * step),
  );
  return [...new Set(ranks)].filter((rank) => rank >= 1 && rank <= limit);
}

export async function latencyOptions(
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
