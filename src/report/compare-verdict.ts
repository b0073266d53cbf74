import type { ComparedInit, CompareReport } from '../contracts/compare.js';
import { pointsText } from './eval-text.js';
import { formatError, formatPercent } from './format.js';

/** The initialization that is best where it matters most: by top-1 where it was measured, else by function error. */
export function bestInit({ inits, validation }: CompareReport): ComparedInit | undefined {
  const value = ({ accuracy, functionError }: ComparedInit): number =>
    validation === null ? -(functionError ?? Infinity) : (accuracy?.top1 ?? -1);
  return inits
    .filter(({ failure }) => failure === null)
    .reduce<ComparedInit | undefined>(
      (best, init) => (best === undefined || value(init) > value(best) ? init : best),
      undefined,
    );
}

/** Which initialization to take, and how sure that is. */
export function compareAdvice(report: CompareReport): string {
  const best = bestInit(report);
  const [first] = report.inits;
  if (best === undefined || first === undefined) return 'nothing to choose from.';
  if (report.validation === null) {
    const error = best.functionError === null ? '' : ` (${formatError(best.functionError)} on average)`;
    return `${best.name} has the smallest function error${error}. Real activations are not Gaussian: --val measures the accuracy.`;
  }
  if (best.accuracy === null) return 'no converted model could be evaluated.';
  const { n } = report.validation;
  const top1 = `${best.name} has the highest top-1, ${formatPercent(best.accuracy.top1)} of ${n} images`;
  const versus = best.versusFirst;
  if (versus === null) return `${top1}; it is the first, and no other is above it.`;
  const over = `${pointsText(versus.difference)} points over ${first.name}`;
  return versus.pValue < 0.05
    ? `${top1}, ${over}: more than chance explains.`
    : `${top1}, ${over}: these images do not tell the two apart.`;
}
