import {
  formatBytes,
  formatCount,
  formatError,
  formatLoss,
  formatPercent,
  formatRate,
  formatSeconds,
  formatWhole,
  plural,
} from './format.js';
import { renderFacts, renderTable } from './table.js';
import type { Column } from './table.js';
import { paint } from './terminal.js';
import type { Terminal } from './terminal.js';
import { printable } from './text.js';
import type { DataSummary, TrainEpoch, TrainReport } from './train-contract.js';

/** Epochs that are shown; of a longer run the last ones, the best, and evenly spaced ones before. */
const MOST_ROWS = 20;
const LAST_ROWS = 5;

interface Row {
  readonly epoch: TrainEpoch;
  readonly isBest: boolean;
}

function optional(value: number | null, format: (value: number) => string): string {
  return value === null ? '' : format(value);
}

const number = (header: string, importance: number, value: (epoch: TrainEpoch) => string): Column<Row> => ({
  header,
  align: 'right',
  importance,
  value: ({ epoch }) => value(epoch),
  paint: ({ isBest }) => (isBest ? 'green' : undefined),
});

const COLUMNS: readonly Column<Row>[] = [
  number('epoch', 20, ({ epoch }) => String(epoch)),
  number('loss', 18, ({ loss }) => formatLoss(loss)),
  number('top-1', 16, ({ top1 }) => formatPercent(top1)),
  number('val loss', 17, ({ valLoss }) => optional(valLoss, formatLoss)),
  number('val top-1', 19, ({ valTop1 }) => optional(valTop1, formatPercent)),
  number('val top-5', 12, ({ valTop5 }) => optional(valTop5, formatPercent)),
  { header: '', align: 'left', importance: 15, value: ({ isBest }) => (isBest ? 'best' : ''), paint: () => 'green' },
  number('lr', 11, ({ lr }) => formatRate(lr)),
  number('grad norm', 7, ({ gradientNorm }) => optional(gradientNorm, formatError)),
  number('loss scale', 5, ({ lossScale }) => (lossScale === undefined ? '' : String(lossScale))),
  number('skipped', 4, ({ skippedUpdates }) => (skippedUpdates === undefined ? '' : String(skippedUpdates))),
  number('img/s', 10, ({ imagesPerSecond }) => imagesPerSecond.toFixed(imagesPerSecond < 99.95 ? 1 : 0)),
  number('data wait', 8, ({ dataWaitShare }) => formatPercent(dataWaitShare)),
  number('memory', 6, ({ peakMemory }) => formatBytes(peakMemory)),
  number('time', 9, ({ seconds }) => formatSeconds(seconds)),
];

function chosen(report: TrainReport): readonly Row[] {
  const { epochs, best } = report;
  const isShown = (index: number): boolean => {
    if (epochs.length <= MOST_ROWS || index >= epochs.length - LAST_ROWS) return true;
    return index % Math.ceil(epochs.length / (MOST_ROWS - LAST_ROWS)) === 0 || epochs[index]?.epoch === best?.epoch;
  };
  return epochs
    .map((epoch): Row => ({ epoch, isBest: epoch.epoch === best?.epoch }))
    .filter((_, index) => isShown(index));
}

/** "9,469 images of 10 classes, imagenette/train". */
export function dataText({ path, images, classes }: DataSummary): string {
  return `${plural(images, 'image')} of ${formatWhole(classes)} classes, ${path}`;
}

/** "2: a.jpg, b.jpg, and 3 more"; '' where there are none. */
export function badImagesText({ count, names }: TrainReport['badImages']): string {
  if (count === 0) return '';
  const more = count > names.length ? [`and ${formatCount(count - names.length)} more`] : [];
  return `${formatCount(count)}: ${[...names, ...more].join(', ')}`;
}

function facts(report: TrainReport): readonly (readonly [string, string])[] {
  const { best, data, output, seconds, resumedFrom, badImages, reason, status } = report;
  const bad = badImagesText(badImages);
  return [
    ['status', reason === null ? status : `${status}: ${reason}`],
    ...(best === null ? [] : [['best', `top-1 ${formatPercent(best.top1)} in epoch ${best.epoch}`] as const]),
    ['data', dataText(data.train)],
    ...(data.val === null ? [] : [['validation', dataText(data.val)] as const]),
    ...(bad === '' ? [] : [['bad images', bad] as const]),
    ...(resumedFrom === null
      ? []
      : [['resumed', `after ${plural(resumedFrom.steps, 'update')}, from ${resumedFrom.path}`] as const]),
    ...(output === null ? [] : [['written', `${output.path}, ${formatBytes(output.bytes)}`] as const]),
    [
      'time',
      `${formatSeconds(seconds.total)}  (prepare ${formatSeconds(seconds.prepare)}, train ${formatSeconds(seconds.train)}, validate ${formatSeconds(seconds.validate)}, write ${formatSeconds(seconds.write)})`,
    ],
  ];
}

/** The report as text for people: one line an epoch, the best, the data, the warnings. Ends with a line break. */
export function renderTrainTable(report: TrainReport, terminal: Terminal): string {
  const rows = chosen(report);
  const left = report.epochs.length - rows.length;
  return [
    paint(terminal, 'bold', printable(report.model.path)),
    '',
    ...(rows.length === 0 ? ['no epoch was finished'] : renderTable(COLUMNS, rows, terminal)),
    ...(left === 0 ? [] : [paint(terminal, 'dim', `${plural(left, 'epoch')} not shown`)]),
    '',
    ...renderFacts(facts(report), terminal),
    ...report.warnings.map((warning) => `${paint(terminal, 'yellow', 'warning:')} ${printable(warning)}`),
    '',
  ].join('\n');
}
