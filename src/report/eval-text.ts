/** Numbers of an evaluation in words, for the terminal and the page. */
import type { ConfusionCell, EvalReport, Interval, PairedComparison } from '../contracts/eval.js';
import { formatPercent } from './format.js';

/** "86.1 % to 88.0 %". */
export function intervalText([low, high]: Interval): string {
  return `${formatPercent(low)} to ${formatPercent(high)}`;
}

/** A difference of accuracies in points of a percentage: "+1.25". */
export function pointsText(difference: number): string {
  const points = (100 * difference).toFixed(2);
  return `${difference > 0 ? '+' : ''}${points === '-0.00' ? '0.00' : points}`;
}

/** "-1.32 to +0.20 points". */
export function pointsIntervalText([low, high]: Interval): string {
  return `${pointsText(low)} to ${pointsText(high)} points`;
}

/** A probability: "0.030", "< 0.001". */
export function probabilityText(probability: number): string {
  return probability < 0.001 ? '< 0.001' : probability.toFixed(3);
}

/** What the paired comparison says; the test is at the level of 5 %. */
export function comparisonVerdict({ difference, pValue, ci95 }: PairedComparison): string {
  if (pValue >= 0.05) {
    const most = Math.max(Math.abs(ci95[0]), Math.abs(ci95[1]));
    return `No difference shown: these images do not tell the two models apart. A difference beyond ${(100 * most).toFixed(2)} points is unlikely.`;
  }
  return `This model is ${difference > 0 ? 'better' : 'worse'} by ${(100 * Math.abs(difference)).toFixed(2)} points, more than chance explains.`;
}

/** The confusions of two different classes, most frequent first. */
export function mostConfused(report: EvalReport, count: number): readonly ConfusionCell[] {
  return report.confusion
    .filter(({ actual, predicted }) => actual !== predicted)
    .toSorted((a, b) => b.count - a.count || a.actual - b.actual || a.predicted - b.predicted)
    .slice(0, count);
}

/** A class by its name, or by its number where it has none. */
export function className(report: EvalReport, index: number): string {
  const name = report.perClass[index]?.name ?? '';
  return name === '' ? `class ${index}` : name;
}
