import type { ChangeUnit, TradeOff, TradeOffPoint } from '../contracts/convert.js';
import { type Judge, measuredChange } from './agreement.js';
import type { Candidate } from '../factorize/candidates.js';
import { factorParams, weightCount } from '../rewrite/geometry.js';
import { type BudgetOf, type Option, plansWithin } from '../factorize/plan-by-budget.js';
import { factorMacsOf, macsOf } from '../factorize/plan-choice.js';
import type { Plan, PlanContext } from '../factorize/plan-types.js';
import type { Curves } from '../factorize/sensitivity/observe.js';

/** Ten budgets, and those of them that are measured where measuring was asked for. */
const budgets = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95] as const;
const measuredBudgets: ReadonlySet<number> = new Set([0.3, 0.5, 0.7, 0.9]);

/** A whole model that was measured. */
export interface MeasuredPoint {
  readonly predicted: number;
  readonly change: number;
  readonly agreement: number | null;
  readonly images: number;
}

export interface TradeOffContext {
  readonly of: BudgetOf;
  readonly unit: ChangeUnit;
  readonly curves: Curves;
  readonly planning: Pick<PlanContext, 'latency' | 'totals' | 'curves'>;
  /** What can be done with each candidate, in their order. */
  readonly options: readonly (readonly Option[])[];
}

/** The best plans that are expected of a budget, with what they come to. */
export interface BudgetPlans {
  readonly budget: number;
  readonly plans: readonly Plan[];
  readonly predicted: number;
  readonly params: number;
  readonly macs: number;
}

/** A budget, with what was measured of its model. */
export interface CurvePoint extends BudgetPlans {
  readonly measured?: MeasuredPoint | undefined;
}

/** undefined where the budget cannot be reached. */
export function plansOf(
  candidates: readonly Candidate[],
  budget: number,
  { of, options, planning, curves }: TradeOffContext,
): BudgetPlans | undefined {
  const plans = plansWithin(candidates, options, { of, fraction: budget }, planning);
  return plans === undefined ? undefined : { budget, plans, ...worthOf(plans, curves, planning.totals) };
}

/** The budgets of a curve that can be reached, smallest first. */
export function curveBudgets(candidates: readonly Candidate[], context: TradeOffContext): readonly BudgetPlans[] {
  return budgets.flatMap((budget) => plansOf(candidates, budget, context) ?? []);
}

/** Whether a curve is measured there. */
export function isMeasuredBudget(budget: number): boolean {
  return measuredBudgets.has(budget);
}

/** What plans come to: the sum of what each layer alone changes, and what is left of parameters and multiply-accumulates. */
export function worthOf(
  plans: readonly Plan[],
  curves: Curves,
  totals: PlanContext['totals'],
): { readonly predicted: number; readonly params: number; readonly macs: number } {
  let predicted = 0;
  let [params, macs] = [totals.params, totals.macs];
  for (const { candidate, trials } of plans) {
    if (trials === null) continue;
    const [trial] = trials;
    const { scheme, rank } = trial;
    predicted += curves.get(candidate)?.get(scheme)?.changes[rank] ?? 0;
    params += factorParams(candidate.layer.geometry, scheme, rank) - weightCount(candidate.layer.geometry);
    macs += factorMacsOf(candidate, trial) - macsOf(candidate);
  }
  return { predicted, params: params / totals.params, macs: macs / totals.macs };
}

/** Measures a whole model; undefined where its outputs cannot be compared. */
export async function measurePoint(
  judge: Judge,
  model: Uint8Array,
  predicted: number,
  unit: ChangeUnit,
): Promise<MeasuredPoint | undefined> {
  const { agreement } = await judge.measure(model);
  const change = agreement === undefined ? undefined : measuredChange(agreement, unit);
  if (agreement === undefined || change === undefined) return undefined;
  return { predicted, change, agreement: agreement.top1?.share ?? null, images: agreement.images };
}

/**
 * The curve: what each budget is predicted to change, put right by what was measured. Layers do not change outputs one by one:
 * the whole differs from the sum by a factor, which is interpolated between the measured points (in logarithms).
 */
export function tradeOff(of: BudgetOf, unit: ChangeUnit, points: readonly CurvePoint[], choice: CurvePoint): TradeOff {
  // With the same ranks as a point of the curve, what was measured there is its own.
  const same = points.find(({ predicted, macs }) => predicted === choice.predicted && macs === choice.macs);
  const chosen = { ...choice, measured: choice.measured ?? same?.measured };
  const others = points.filter(
    (point) => point !== same && (point.measured !== undefined || Math.abs(point.budget - chosen.budget) > 0.01),
  );
  const all = [...others, chosen].sort((a, b) => a.budget - b.budget);
  const known = all.flatMap(({ measured }) => (measured === undefined ? [] : [measured]));
  return {
    of,
    unit,
    points: all.map((point): TradeOffPoint => {
      const { budget, params, macs, predicted, measured } = point;
      return {
        budget,
        params,
        macs,
        predicted,
        measured:
          measured === undefined
            ? null
            : { change: measured.change, agreement: measured.agreement, images: measured.images },
        expected: measured?.change ?? predicted * factorAt(predicted, known),
        isChosen: point === chosen,
      };
    }),
  };
}

/** Measured to predicted, in logarithms linear between the nearest measured points, constant beyond them. */
function factorAt(predicted: number, known: readonly MeasuredPoint[]): number {
  const usable = known
    .filter((point) => point.predicted > 0 && point.change > 0)
    .toSorted((a, b) => a.predicted - b.predicted);
  if (usable.length === 0 || !(predicted > 0)) return 1;
  const factor = (point: MeasuredPoint): number => Math.log(point.change / point.predicted);
  const above = usable.find((point) => point.predicted >= predicted);
  const below = usable.findLast((point) => point.predicted <= predicted);
  if (above === undefined || below === undefined || above === below) return Math.exp(factor((above ?? below)!));
  const share = Math.log(predicted / below.predicted) / Math.log(above.predicted / below.predicted);
  return Math.exp(factor(below) + share * (factor(above) - factor(below)));
}
