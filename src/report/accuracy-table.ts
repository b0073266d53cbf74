import type { AccuracyBudget, AccuracyTrial } from '../contracts/accuracy-budget.js';
import type { ConvertReport } from '../contracts/convert.js';
import { pointsIntervalText, pointsText } from './eval-text.js';
import { formatPercent, formatSeconds, formatWhole, plural } from './format.js';
import { type Column, renderTable } from './table.js';
import type { Terminal } from './terminal.js';

/** A trial with its number and what it is compared with. */
export interface NumberedTrial {
  readonly number: number;
  readonly trial: AccuracyTrial;
  readonly isChosen: boolean;
  /** Fractions of the original's. */
  readonly macs: number;
  readonly params: number;
}

export function numberedTrials({ totals }: ConvertReport, { trials, chosen }: AccuracyBudget): NumberedTrial[] {
  return trials.map((trial, index) => ({
    number: index,
    trial,
    isChosen: index === chosen,
    macs: trial.macs / totals.macs.before,
    params: trial.params / totals.params.before,
  }));
}

/** What a trial was made for, in a word. */
export function purposeText({ trial, isChosen }: NumberedTrial): string {
  if (isChosen) return 'written';
  return trial.purpose === 'sensitivity' ? 'sensitivity' : trial.isWithinBudget ? 'within' : 'beyond';
}

const COLUMNS: readonly Column<NumberedTrial>[] = [
  { header: '#', align: 'right', importance: 20, value: ({ number }) => String(number) },
  {
    header: 'trial',
    align: 'left',
    importance: 20,
    value: purposeText,
    paint: ({ isChosen, trial }) => (isChosen ? 'green' : trial.purpose === 'sensitivity' ? 'dim' : undefined),
  },
  { header: 'layers', align: 'right', importance: 8, value: ({ trial }) => String(Object.keys(trial.ranks).length) },
  { header: 'MACs', align: 'right', importance: 18, value: ({ macs }) => formatPercent(macs) },
  { header: 'params', align: 'right', importance: 12, value: ({ params }) => formatPercent(params) },
  { header: 'images', align: 'right', importance: 6, value: ({ trial }) => formatWhole(trial.images) },
  { header: 'top-1', align: 'right', importance: 18, value: ({ trial }) => formatPercent(trial.top1) },
  { header: 'drop', align: 'right', importance: 19, value: ({ trial }) => pointsText(trial.drop) },
  { header: '95 %', align: 'left', importance: 14, value: ({ trial }) => pointsIntervalText(trial.ci95) },
  { header: 'evaluated', align: 'left', importance: 7, value: ({ trial }) => (trial.isCached ? 'before' : 'now') },
];

/** Every evaluation, one line each. */
export function renderTrials(report: ConvertReport, budget: AccuracyBudget, terminal: Terminal): readonly string[] {
  return renderTable(COLUMNS, numberedTrials(report, budget), terminal);
}

/** What the written model loses, in one line. */
export function accuracyText({ original, trials, chosen, points, images, data, seconds }: AccuracyBudget): string {
  const { top1, drop, ci95 } = trials[chosen]!;
  const measured = `top-1 ${formatPercent(original.top1)} -> ${formatPercent(top1)}, drop ${pointsText(drop)} points (95 %: ${pointsIntervalText(ci95)})`;
  return `${measured} of ${points} allowed; ${plural(trials.length, 'trial')}, ${plural(images, 'image')} from ${data}, ${formatSeconds(seconds)}`;
}
