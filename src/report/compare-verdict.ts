import type { ComparedInit, ComparedRecovery, CompareReport } from '../contracts/compare.js';
import { pointsText } from './eval-text.js';
import { formatError, formatLoss, formatPercent, formatWhole, plural } from './format.js';

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

/** What is kept before a recovery and behind it: "62.0 → 96.0 %", "1.9000 → 0.3000"; no agreement of what is no classifier. */
export function keptText({ start, written }: ComparedRecovery): { readonly agreement: string; readonly loss: string } {
  return {
    agreement:
      start.agreement === null || written.agreement === null
        ? ''
        : `${(100 * start.agreement).toFixed(1)} → ${(100 * written.agreement).toFixed(1)} %`,
    loss: `${formatLoss(start.loss)} → ${formatLoss(written.loss)}`,
  };
}

/** "600 updates on 500 pictures, judged by 100 others; agreement and loss are before → behind it". */
export function recoveredOnText({ data, settings }: NonNullable<CompareReport['recovery']>): string {
  return `${formatWhole(Number(settings['steps']))} updates each on ${plural(data.images, 'picture')}, judged by ${formatWhole(data.heldOut.images)} others; agreement with the original and loss are before → behind it`;
}

/** The initialization that is closest to the original behind its recovery, in a sentence; '' without one. */
function closestText({ inits }: CompareReport): string {
  const recovered = inits.flatMap(({ name, recovery }) => (recovery ? [{ name, recovery }] : []));
  const [closest] = recovered.toSorted((a, b) => a.recovery.written.loss - b.recovery.written.loss);
  if (closest === undefined) return '';
  const { agreement, loss } = closest.recovery.written;
  const same = agreement === null ? '' : `, agreement ${formatPercent(agreement)}`;
  return ` Behind its recovery ${closest.name} is closest to the original: loss ${formatLoss(loss)}${same}.`;
}

/** Which initialization to take, and how sure that is. */
export function compareAdvice(report: CompareReport): string {
  return `${adviceWithoutRecovery(report)}${closestText(report)}`;
}

function adviceWithoutRecovery(report: CompareReport): string {
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
