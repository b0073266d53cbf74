import { beforeAll, describe, expect, it } from 'vitest';
import { budgetOptions, costsOf, type Option, plansWithin } from '../../src/factorize/plan-by-budget.js';
import type { PlanContext } from '../../src/factorize/plan-types.js';
import { curveBudgets, plansOf, tradeOff, type TradeOffContext, worthOf } from '../../src/convert/trade-off.js';
import { tinyClassifier } from '../support/tiny-classifier.js';
import { imagesOf } from '../factorize/support/images.js';
import { fittingTests } from '../factorize/support/linalg.js';
import { type Observed, observe } from '../factorize/support/sensitive.js';

const tests = fittingTests();
let observed: Observed;
let planning: PlanContext;
let context: TradeOffContext;
let options: readonly (readonly Option[])[];

beforeAll(async () => {
  // Multiples of 3: at most six things to do with each of its six layers.
  const settings = { rankMultiple: 3, allowBigger: false, keepFirst: false, keepLast: false };
  observed = await observe(tinyClassifier(), imagesOf('x', [8, 3, 16, 16], [8, 8]), tests.linalg, settings);
  const { curves, candidates } = observed;
  const sum = (costs: readonly (readonly Option[])[]): number => costs.reduce((total, [keep]) => total + keep!.cost, 0);
  planning = { settings: observed.settings.ranks, linalg: tests.linalg, totals: { params: 1e9, macs: 1e9 }, curves };
  options = await budgetOptions(candidates, 'macs', planning);
  planning = { ...planning, totals: { params: 1e6, macs: 1.1 * sum(options) } };
  context = { of: 'macs', unit: 'kl', curves, planning, options };
});

/** The least error of all that can be done at this cost, by trying everything. */
function optimum(of: readonly (readonly Option[])[], budget: number): number {
  const [first, ...rest] = of;
  if (first === undefined) return budget >= 0 ? 0 : Infinity;
  return Math.min(...first.map(({ cost, error }) => error + optimum(rest, budget - cost)));
}

const total = (plans: readonly { readonly trials: unknown }[]): number =>
  plans.reduce((sum, { trials }, index) => sum + chosen(trials, options[index]!).error, 0);

function chosen(trials: unknown, choices: readonly Option[]): Option {
  const [trial] = (trials ?? [null]) as readonly Option['trial'][];
  return choices.find((choice) => choice.trial?.rank === trial?.rank && choice.trial?.scheme === trial?.scheme)!;
}

describe('ranks that a budget chooses by what the outputs feel', () => {
  it('are as good as the best there are, but for one step of one layer', () => {
    expect(options).toHaveLength(6);
    expect(Math.max(...options.map(({ length }) => length))).toBeGreaterThan(3);
    const { total: whole, fixed } = costsOf(options, 'macs', planning);
    // What the price cannot do: leave out a part of a step.
    const step = Math.max(...options.flatMap((choices) => largestStep(choices)));
    let isExact = 0;
    const fractions = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
    for (const fraction of fractions) {
      const plans = plansWithin(observed.candidates, options, { of: 'macs', fraction }, planning);
      const budget = fraction * whole - fixed;
      if (plans === undefined) {
        expect(optimum(options, budget)).toBe(Infinity);
        continue;
      }
      const best = optimum(options, budget);
      const cost = plans.reduce((sum, { trials }, index) => sum + chosen(trials, options[index]!).cost, 0);
      expect(cost).toBeLessThanOrEqual(budget);
      expect(total(plans)).toBeGreaterThanOrEqual(best * (1 - 1e-9));
      expect(total(plans)).toBeLessThanOrEqual(optimum(options, budget - step) * (1 + 1e-9));
      if (total(plans) <= best * (1 + 1e-9)) isExact++;
    }
    expect(isExact).toBeGreaterThanOrEqual(3);
  });

  it('are predicted to change the sum of what the table says, and cost what is counted', () => {
    const { totals } = planning;
    for (const point of curveBudgets(observed.candidates, context)) {
      expect(point.predicted).toBeCloseTo(total(point.plans), 12);
      const cost = point.plans.reduce((sum, { trials }, index) => sum + chosen(trials, options[index]!).cost, 0);
      const { fixed } = costsOf(options, 'macs', planning);
      expect(point.macs).toBeCloseTo((fixed + cost) / totals.macs, 12);
      expect(point.macs).toBeLessThanOrEqual(point.budget);
      expect(worthOf(point.plans, observed.curves, totals)).toMatchObject({ macs: point.macs });
    }
  });

  it('change the less the more is left', () => {
    const points = curveBudgets(observed.candidates, context);
    expect(points.length).toBeGreaterThan(5);
    const step = Math.max(...options.flatMap((choices) => largestStep(choices))) / planning.totals.macs;
    for (const point of points) {
      const cheaper = points.filter(({ budget }) => budget < point.budget - step);
      for (const other of cheaper) expect(point.predicted).toBeLessThanOrEqual(other.predicted * (1 + 1e-9));
    }
  });
});

/** Between neighbors among the choices that some price makes the best: of cost. */
function largestStep(choices: readonly Option[]): number {
  const hull: Option[] = [];
  for (const next of choices.toSorted((a, b) => a.cost - b.cost || b.error - a.error)) {
    const slope = (from: Option, to: Option): number => (from.error - to.error) / (to.cost - from.cost);
    while (hull.length > 0 && hull.at(-1)!.error <= next.error && hull.at(-1)!.cost === next.cost) hull.pop();
    if (hull.length > 0 && next.error >= hull.at(-1)!.error) continue;
    while (hull.length > 1 && slope(hull.at(-2)!, hull.at(-1)!) <= slope(hull.at(-1)!, next)) hull.pop();
    hull.push(next);
  }
  return Math.max(0, ...hull.slice(1).map(({ cost }, index) => cost - hull[index]!.cost));
}

describe('a trade-off', () => {
  const point = (budget: number, predicted: number, change?: number) => ({
    ...{ budget, predicted, params: budget, macs: budget, plans: [] },
    measured: change === undefined ? undefined : { predicted, change, agreement: 1 - change, images: 10 },
  });

  it('is what was measured where it was, and in between scaled by what the nearest measured points show', () => {
    const points = [point(0.1, 8), point(0.3, 2, 4), point(0.5, 0.5), point(0.7, 0.125, 0.0625), point(0.9, 0.01)];
    const { points: all } = tradeOff('macs', 'kl', points, point(0.6, 0.25));
    expect(all.map(({ budget, isChosen }) => [budget, isChosen])).toEqual([
      [0.1, false],
      [0.3, false],
      [0.5, false],
      [0.6, true],
      [0.7, false],
      [0.9, false],
    ]);
    // Factors of 2 at 2 and 1/2 at 1/8; at 1/2, half of the way between them in logarithms, 1.
    const should = [16, 4, 0.5, 0.25 * 2 ** -0.5, 0.0625, 0.005];
    all.forEach(({ expected }, index) => expect(expected).toBeCloseTo(should[index]!, 12));
    expect(all[1]!.measured).toEqual({ change: 4, agreement: -3, images: 10 });
    expect(all[0]!.measured).toBeNull();
  });

  it('has the chosen budget once, and believes what is predicted where nothing was measured', () => {
    const { points } = tradeOff('params', 'kl', [point(0.3, 2), point(0.5, 1)], point(0.502, 0.9));
    expect(points.map(({ budget, expected }) => [budget, expected])).toEqual([
      [0.3, 2],
      [0.502, 0.9],
    ]);
  });

  it('is measured where a point of the curve has the same ranks', () => {
    const [half, most] = [point(0.5, 1, 0.8), point(0.9, 0.1, 0.2)];
    const { points } = tradeOff('macs', 'kl', [half, most], { ...half, budget: 0.48, measured: undefined });
    expect(points.map(({ budget, measured, isChosen }) => [budget, measured?.change, isChosen])).toEqual([
      [0.48, 0.8, true],
      [0.9, 0.2, false],
    ]);
    // Measured points stay, however near.
    expect(tradeOff('macs', 'kl', [half, most], point(0.495, 1.1)).points).toHaveLength(3);
  });

  it('has no budget that cannot be reached', () => {
    expect(plansOf(observed.candidates, 0.01, context)).toBeUndefined();
  });
});
