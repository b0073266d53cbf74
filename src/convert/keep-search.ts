import { LowrankError } from '../errors.js';
import type { Judge } from './agreement.js';
import type { Candidate } from '../factorize/candidates.js';
import type { Plan } from '../factorize/plan-types.js';
import { type BudgetPlans, measurePoint, type MeasuredPoint, plansOf, type TradeOffContext } from './trade-off.js';

export interface KeepSearch {
  /** The share of the images that must get the same class. */
  readonly share: number;
  readonly judge: Judge;
  /** A model with these ranks, quickly fitted. */
  build(plans: readonly Plan[]): Promise<Uint8Array>;
  readonly onProgress?: (done: number, total: number, detail: string) => void;
}

export interface KeepFinding {
  readonly chosen: BudgetPlans;
  readonly points: readonly (BudgetPlans & { readonly measured: MeasuredPoint })[];
}

/** Whole models that are measured. */
const most = 7;
/** Without classes, the share of agreement that a relative error of e stands for is 1 − e. */
export const shareOf = ({ agreement, change }: Pick<MeasuredPoint, 'agreement' | 'change'>): number =>
  agreement ?? 1 - Math.sqrt(2 * change);

/**
 * The smallest model that agrees with the original: every budget has its best ranks, which leaves one number to find, by
 * bisection on whole models. Agreement need not rise with the budget: what comes out is the cheapest of what was measured.
 * Throws NUMERIC where nothing that was measured agrees so much, or cannot be compared.
 */
export async function searchKeep(
  candidates: readonly Candidate[],
  context: TradeOffContext,
  { share, judge, build, onProgress }: KeepSearch,
): Promise<KeepFinding> {
  const points: KeepFinding['points'][number][] = [];
  let low = 0;
  let high = 1;
  let best: BudgetPlans | undefined;
  for (let trial = 0; trial < most; trial++) {
    // The first guess: where half is left.
    const budget = (low + high) / 2;
    onProgress?.(trial, most, `${context.of} budget ${budget.toFixed(3)}`);
    const tried = plansOf(candidates, budget, context);
    if (tried === undefined) {
      low = budget;
      continue;
    }
    const measured = await measurePoint(judge, await build(tried.plans), tried.predicted, context.unit);
    if (measured === undefined) {
      throw new LowrankError('NUMERIC', 'the outputs of the converted model cannot be compared with the original', {
        remedy: 'choose ranks another way, such as --macs-budget',
      });
    }
    points.push({ ...tried, measured });
    if (shareOf(measured) >= share) {
      best = tried;
      high = budget;
    } else low = budget;
  }
  if (best !== undefined) return { chosen: best, points };
  const mildest = points.reduce((least, point) => Math.max(least, shareOf(point.measured)), 0);
  throw new LowrankError(
    'NUMERIC',
    `no conversion agrees with the original on ${(100 * share).toFixed(1)} % of the images kept out of the fit: the most that was measured is ${(100 * mildest).toFixed(1)} %`,
    { remedy: 'lower --keep, or give more images with --calibrate; nothing was written' },
  );
}
