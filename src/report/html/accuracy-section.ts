import { accuracyText, numberedTrials, type NumberedTrial, purposeText } from '../accuracy-table.js';
import type { ConvertReport } from '../../contracts/convert.js';
import { pointsIntervalText, pointsText } from '../eval-text.js';
import { formatLoss, formatPercent, formatWhole } from '../format.js';
import { type Markup, markup } from './markup.js';
import { dataTable, section, type TableColumn } from './page.js';

const number = 'number';

const COLUMNS: readonly TableColumn<NumberedTrial>[] = [
  { header: '#', className: number, value: (row) => String(row.number) },
  { header: 'Trial', value: purposeText },
  { header: 'Layers', className: number, value: ({ trial }) => String(Object.keys(trial.ranks).length) },
  { header: 'MACs', className: number, value: ({ macs }) => formatPercent(macs) },
  { header: 'Parameters', className: number, value: ({ params }) => formatPercent(params) },
  { header: 'Images', className: number, value: ({ trial }) => formatWhole(trial.images) },
  { header: 'Top-1', className: number, value: ({ trial }) => formatPercent(trial.top1) },
  { header: 'Drop', className: number, value: ({ trial }) => pointsText(trial.drop) },
  { header: '95 % interval', className: number, value: ({ trial }) => pointsIntervalText(trial.ci95) },
  {
    header: 'Loss',
    className: number,
    value: ({ trial }) => `${trial.lossIncrease >= 0 ? '+' : ''}${formatLoss(trial.lossIncrease)}`,
  },
  { header: 'Evaluated', value: ({ trial }) => (trial.isCached ? 'before' : 'now') },
];

/** Every evaluation that an accuracy budget took; null where there was none. */
export function accuracySection(report: ConvertReport): Markup | null {
  const { accuracyBudget } = report;
  if (accuracyBudget === undefined) return null;
  return section(
    'What the accuracy budget allowed',
    markup`<p class="lead">${accuracyText(accuracyBudget)}</p>`,
    markup`<p class="muted">A sensitivity is a group of layers converted alone, on a sample of the images: it prices the errors of these layers. The others are candidates for the result, measured on all images. Sizes are fractions of the original's; drops are points of top-1 against the original on the same images.</p>`,
    dataTable('Evaluations', COLUMNS, numberedTrials(report, accuracyBudget)),
  );
}
