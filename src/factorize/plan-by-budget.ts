import { LowrankError, throwIfAborted } from '../errors.js';
import type { Scheme } from '../contracts/convert.js';
import { type Choice, solveBudget } from './budget.js';
import type { Candidate } from './candidates.js';
import { breakEvenRank, factorParams, maxRank, weightCount } from '../rewrite/geometry.js';
import { factorMacsOf, macsOf, refusal } from './plan-choice.js';
import type { Plan, PlanContext, Trial } from './plan-types.js';
import type { RankMode } from './settings.js';
import type { Curves } from './sensitivity/observe.js';
import { spectra, tailEnergies } from './spectra.js';

/** What can be done with a layer; without a trial, it is kept. */
export interface Option extends Choice {
  readonly trial: Trial | null;
}

/** By scheme, what each rank from 0 on costs in errors: of one layer, in the unit of all. */
export type RankErrors = ReadonlyMap<Scheme, ArrayLike<number>>;

/**
 * Minimizes the sum over layers of what the outputs are expected to change by, where images tell it (`curves`), else of the
 * lost fraction of ‖W‖²_F, under the budget: with one price for cost for all layers.
 */
export async function planByBudget(
  candidates: readonly Candidate[],
  mode: BudgetMode,
  context: PlanContext,
): Promise<Plan[]> {
  const options = context.options ?? (await budgetOptions(candidates, mode.of, context));
  const plans = plansWithin(candidates, options, budgetInForce(mode, options, context), context);
  if (plans !== undefined) return plans;
  const { total, fixed } = costsOf(options, mode.of, context);
  const reachable = (fixed + leastOf(options)) / total;
  throw new LowrankError('USAGE', `--${mode.of}-budget ${mode.fraction} cannot be reached`, {
    remedy: `the smallest possible here is ${(Math.ceil(reachable * 1000) / 1000).toFixed(3)}; raise it,${context.settings.minRank === null ? '' : ' lower --min-rank,'} or factorize more layers (--no-keep-first, --no-keep-last)`,
  });
}

/** What can be done with each candidate. */
export async function budgetOptions(
  candidates: readonly Candidate[],
  of: BudgetOf,
  context: PlanContext,
): Promise<Option[][]> {
  const errors = await rankErrors(candidates, context);
  const options: Option[][] = [];
  for (const candidate of candidates) {
    throwIfAborted(context.signal);
    const own = errors.get(candidate)!;
    options.push(
      of === 'latency' ? await latencyOptions(candidate, own, context) : countedOptions(candidate, own, of, context),
    );
  }
  return options;
}

async function rankErrors(
  candidates: readonly Candidate[],
  context: PlanContext,
): Promise<ReadonlyMap<Candidate, RankErrors>> {
  const { curves } = context;
  if (curves !== undefined) {
    return new Map(
      candidates.map((candidate) => [
        candidate,
        new Map([...curves.get(candidate)!].map(([scheme, { changes }]) => [scheme, changes])),
      ]),
    );
  }
  const all = await spectra(candidates, context);
  return new Map(
    [...all].map(([candidate, own]) => [
      candidate,
      new Map([...own].map(([scheme, squares]) => [scheme, tailEnergies(squares)])),
    ]),
  );
}

export type BudgetMode = Extract<RankMode, { kind: 'budget' }>;
export type BudgetOf = BudgetMode['of'];

/** What the whole model costs, and what of it no candidate can change. */
export function costsOf(
  options: readonly (readonly Option[])[],
  of: BudgetOf,
  { latency, totals }: Pick<PlanContext, 'latency' | 'totals'>,
): { readonly total: number; readonly fixed: number } {
  const total = of === 'latency' ? (latency?.totalMs ?? 0) : totals[of];
  return { total, fixed: total - options.reduce((sum, choices) => sum + choices[0]!.cost, 0) };
}

/** Of what candidates cost, at least this share is left by a budget that nobody asked for. */
const leastLeft = 1 / 3;

/** A budget that somebody asked for, or as much of the usual one as the candidates bear; 1 where nothing can be saved. */
export function budgetInForce(
  mode: BudgetMode,
  options: readonly (readonly Option[])[],
  context: Pick<PlanContext, 'latency' | 'totals'>,
): BudgetMode {
  const { total, fixed } = costsOf(options, mode.of, context);
  if (mode.isDefault !== true || !(total > 0)) return mode;
  const borne = fixed + Math.max(leastLeft * (total - fixed), leastOf(options));
  // What is least is within it, whichever way that rounds.
  const fraction = Math.min(1, Math.max(mode.fraction, (borne / total) * (1 + 1e-12)));
  return { kind: mode.kind, of: mode.of, fraction };
}

function leastOf(options: readonly (readonly Option[])[]): number {
  return options.reduce((sum, choices) => sum + Math.min(...choices.map(({ cost }) => cost)), 0);
}

/** undefined where the budget cannot be reached. */
export function plansWithin(
  candidates: readonly Candidate[],
  options: readonly (readonly Option[])[],
  { of, fraction }: Pick<BudgetMode, 'of' | 'fraction'>,
  context: Pick<PlanContext, 'latency' | 'totals' | 'curves'>,
): Plan[] | undefined {
  const { total, fixed } = costsOf(options, of, context);
  const picked = solveBudget(options, fraction * total - fixed);
  if (picked === undefined) return undefined;
  return candidates.map((candidate, index): Plan => {
    const { trial } = options[index]![picked[index]!]!;
    const budget = `${of} budget ${shown(fraction)}`;
    if (trial !== null)
      return { candidate, trials: [trial], note: `${budget}${why(context.curves, candidate, trial)}` };
    const isNever = options[index]!.length === 1;
    const reason = of === 'latency' ? 'no rank that was measured is faster' : 'no rank saves anything';
    return { candidate, trials: null, note: isNever ? reason : `${budget} is met without it` };
  });
}

function shown(fraction: number): string {
  return String(Number(fraction.toFixed(3)));
}

/** What the outputs feel of the rank. */
function why(curves: Curves | undefined, candidate: Candidate, { scheme, rank }: Trial): string {
  const curve = curves?.get(candidate)?.get(scheme);
  if (curve === undefined) return '';
  const [change, whole] = [curve.changes[rank]!, curve.changes[0]!].map((value) => value.toPrecision(2));
  return `: alone it changes the outputs by ${change} (cut off whole: ${whole})`;
}

/** Every rank that is a gain, with its cost and error; the first option keeps the layer. */
function countedOptions(
  candidate: Candidate,
  errors: RankErrors,
  of: 'params' | 'macs',
  context: Pick<PlanContext, 'settings' | 'curves'>,
): Option[] {
  const { settings } = context;
  const { geometry } = candidate.layer;
  const full = of === 'params' ? weightCount(geometry) : macsOf(candidate);
  const options: Option[] = [{ trial: null, cost: full, error: 0 }];
  for (const [scheme, own] of errors) {
    const limit = Math.min(breakEvenRank(geometry, scheme), own.length - 1);
    const least = Math.ceil(leastRank(candidate, scheme, context) / settings.rankMultiple) * settings.rankMultiple;
    for (let rank = least; rank <= limit; rank += settings.rankMultiple) {
      if (refusal(candidate, { scheme, rank }, settings) !== undefined) break;
      const cost = of === 'params' ? factorParams(geometry, scheme, rank) : factorMacsOf(candidate, { scheme, rank });
      options.push({ trial: { scheme, rank }, cost, error: own[rank]! });
    }
  }
  return options;
}

/** Of the full rank, what a budget leaves at least where no image shows what a layer's error does to the outputs. */
const leastShare = 1 / 32;

/** The least rank that a budget gives a layer. */
function leastRank(
  { layer }: Candidate,
  scheme: Scheme,
  { settings, curves }: Pick<PlanContext, 'settings' | 'curves'>,
): number {
  if (settings.minRank !== null) return settings.minRank;
  return curves === undefined ? Math.max(1, Math.ceil(leastShare * maxRank(layer.geometry, scheme))) : 1;
}

/** Ranks worth measuring: a few between 1/16 and the break-even rank, in multiples that suit vector units. */
function ranksToMeasure(limit: number, multiple: number): number[] {
  const step = Math.max(multiple, limit >= 64 ? 8 : limit >= 16 ? 4 : 1);
  const ranks = [1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1].map((share) =>
    Math.max(multiple, Math.floor((share * limit) / step) * step),
  );
  return [...new Set(ranks)].filter((rank) => rank >= 1 && rank <= limit);
}

async function latencyOptions(candidate: Candidate, errors: RankErrors, context: PlanContext): Promise<Option[]> {
  const { geometry } = candidate.layer;
  const trials = [...errors].flatMap(([scheme, { length }]) =>
    ranksToMeasure(Math.min(length - 1, breakEvenRank(geometry, scheme)), context.settings.rankMultiple)
      .filter((rank) => rank >= leastRank(candidate, scheme, context))
      .map((rank): Trial => ({ scheme, rank })),
  );
  const [full = 0, ...times] = await context.latency!.measure(candidate, trials);
  const options: Option[] = [{ trial: null, cost: full, error: 0 }];
  trials.forEach((trial, index) => {
    const cost = times[index]!;
    // A pair that is not faster is refused, whatever it saves on paper.
    if (cost < full) options.push({ trial, cost, error: errors.get(trial.scheme)![trial.rank]! });
  });
  return options;
}
