import type { MeasuredRule, RankRule, Scheme, SensitivityReport } from '../contracts/convert.js';
import type { Judge } from './agreement.js';
import type { Candidate } from '../factorize/candidates.js';
import { slowMacs } from '../rewrite/count.js';
import { type BudgetMode, type Option, plansWithin } from '../factorize/plan-by-budget.js';
import type { Plan, PlanContext, Trial } from '../factorize/plan-types.js';
import { spectra, tailEnergies } from '../factorize/spectra.js';
import { measurePoint, type TradeOffContext, worthOf } from './trade-off.js';

/** The first is right to second order: of small changes. Beyond this one, others are tried. */
const smallChange: Readonly<Record<SensitivityReport['unit'], number>> = { kl: 0.1, 'squared-error': 0.005 };
/** Of images that a model was not made for, small differences tell nothing. */
export const clearlyLess = 0.98;

export interface RuleContext {
  readonly mode: BudgetMode;
  readonly trade: TradeOffContext;
  readonly planning: PlanContext;
  readonly by: SensitivityReport['by'];
  readonly judge: Judge;
  /** A model with these ranks, quickly fitted. */
  build(plans: readonly Plan[]): Promise<Uint8Array>;
  readonly onProgress?: ((done: number, total: number, detail: string) => void) | undefined;
}

export interface RuleFinding {
  readonly plans: readonly Plan[];
  /** Empty where nothing could be compared. */
  readonly rules: readonly MeasuredRule[];
}

/**
 * The best of several ways to share out a budget, measured whole on images kept out of the fit. Changes of the outputs to
 * second order are right where little is cut; where everything is cut to the bone the layers' own losses tell more, and no
 * rule is best for all models: a later one is taken where it changes clearly less. `first` are the plans of the first rule: they
 * stay where they change little.
 */
export async function bestByRule(
  first: readonly Plan[],
  candidates: readonly Candidate[],
  context: RuleContext,
): Promise<RuleFinding> {
  const { trade, planning, mode, judge, build, onProgress } = context;
  const rules = rulesFor(first, context);
  let found: Promise<Tails> | undefined;
  const known = { ...context, tails: () => (found ??= tailsOf(candidates, planning)) };
  const measured: { readonly plans: readonly Plan[]; readonly rule: Omit<MeasuredRule, 'isChosen'> }[] = [];
  for (const [index, rule] of rules.entries()) {
    onProgress?.(index, rules.length, `ranks by ${rule}`);
    const plans =
      index === 0 ? first : plansWithin(candidates, await optionsBy(rule, candidates, known), mode, trade.planning);
    if (plans === undefined || measured.some((other) => isSame(other.plans, plans))) continue;
    const { predicted } = worthOf(plans, trade.curves, planning.totals);
    const point = await measurePoint(judge, await build(plans), predicted, trade.unit);
    if (point !== undefined) measured.push({ plans, rule: { rule, ...point } });
    if (index === 0 && (point === undefined || point.change < smallChange[trade.unit])) break;
  }
  // The earlier rule where they are level.
  let best = measured[0];
  for (const other of measured) if (other.rule.change < clearlyLess * best!.rule.change) best = other;
  return {
    plans: best?.plans ?? first,
    rules: measured.map((each) => Object.assign({}, each.rule, { isChosen: each === best })),
  };
}

function rulesFor(first: readonly Plan[], { by, planning: { totals } }: RuleContext): readonly RankRule[] {
  if (by === 'losses') return ['losses', 'weights'];
  if (totals.macs > slowMacs) return ['outputs', 'both'];
  // All that a network sees may have to pass through the one number that is left.
  const isNarrow = first.some(({ trials }) => trials?.[0]?.rank === 1);
  return ['outputs', 'both', 'all', 'weights', ...(isNarrow ? (['wide'] as const) : [])];
}

function isSame(some: readonly Plan[], others: readonly Plan[]): boolean {
  return some.every(({ trials }, index) => {
    const [trial, other] = [trials?.[0], others[index]!.trials?.[0]];
    return trial?.scheme === other?.scheme && trial?.rank === other?.rank;
  });
}

/** The same choices with errors by another rule. */
async function optionsBy(
  rule: RankRule,
  candidates: readonly Candidate[],
  { trade: { options, curves }, tails }: RuleContext & { tails(): Promise<Tails> },
): Promise<readonly (readonly Option[])[]> {
  if (rule === 'wide') return options.map((each) => each.filter(({ trial }) => trial === null || trial.rank > 1));
  const lost = rule === 'losses' || rule === 'both' ? undefined : await tails();
  const errorOf = (candidate: Candidate, { scheme, rank }: Trial): number => {
    const { changes, losses } = curves.get(candidate)!.get(scheme)!;
    if (lost === undefined) return rule === 'losses' ? losses[rank]! : Math.sqrt(changes[rank]! * losses[rank]!);
    const tail = lost.get(candidate)!.get(scheme)![rank]!;
    return rule === 'weights' ? tail : Math.cbrt(changes[rank]! * losses[rank]! * tail);
  };
  return candidates.map((candidate, index) =>
    options[index]!.map(({ trial, cost, error }): Option => ({
      trial,
      cost,
      error: trial === null ? error : errorOf(candidate, trial),
    })),
  );
}

/** By candidate and scheme, the share of ‖W‖²_F that each rank loses. */
type Tails = ReadonlyMap<Candidate, ReadonlyMap<Scheme, Float64Array>>;

async function tailsOf(candidates: readonly Candidate[], context: PlanContext): Promise<Tails> {
  const all = await spectra(candidates, context);
  const own = (squares: ReadonlyMap<Scheme, Float64Array>): ReadonlyMap<Scheme, Float64Array> =>
    new Map([...squares].map(([scheme, each]) => [scheme, tailEnergies(each)]));
  return new Map([...all].map(([candidate, squares]) => [candidate, own(squares)]));
}
