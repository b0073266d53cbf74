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
import { inOnePieceText, ranksCell } from './ranks-text.js';
import { renderFacts, renderTable, type Column } from './table.js';
import { paint, type Terminal } from './terminal.js';
import { printable, wrap } from './text.js';
import type { DataSummary, TrainEpoch, TrainReport, TrainStart, TrainVerdict } from '../contracts/train.js';
import {
  conversionText,
  foundRateText,
  goOnText,
  lastText,
  retreatText,
  savedText,
  writtenText,
} from './train-outcome.js';

/** Epochs that are shown; of a longer run the last ones, the best, and evenly spaced ones before. */
const MOST_ROWS = 20;
const LAST_ROWS = 5;

interface Row {
  /** Of epoch 0 what was measured. */
  readonly epoch: TrainEpoch | (TrainStart & { readonly epoch: 0 });
  readonly isBest: boolean;
}

const isTrained = (epoch: Row['epoch']): epoch is TrainEpoch => epoch.epoch > 0;

function optional(value: number | null, format: (value: number) => string): string {
  return value === null ? '' : format(value);
}

const either = (header: string, importance: number, value: (epoch: Row['epoch']) => string): Column<Row> => ({
  header,
  align: 'right',
  importance,
  value: ({ epoch }) => value(epoch),
  paint: ({ isBest }) => (isBest ? 'green' : undefined),
});

const number = (header: string, importance: number, value: (epoch: TrainEpoch) => string): Column<Row> =>
  either(header, importance, (epoch) => (isTrained(epoch) ? value(epoch) : ''));

const COLUMNS: readonly Column<Row>[] = [
  either('epoch', 20, ({ epoch }) => String(epoch)),
  number('loss', 18, ({ loss }) => formatLoss(loss)),
  number('top-1', 16, ({ top1 }) => formatPercent(top1)),
  either('val loss', 17, ({ valLoss }) => optional(valLoss, formatLoss)),
  either('val top-1', 19, ({ valTop1 }) => optional(valTop1, formatPercent)),
  either('val top-5', 12, ({ valTop5 }) => optional(valTop5, formatPercent)),
  {
    header: '',
    align: 'left',
    importance: 15,
    value: ({ epoch, isBest }) => (isTrained(epoch) ? (isBest ? 'best' : '') : 'before training'),
    paint: ({ isBest }) => (isBest ? 'green' : undefined),
  },
  number('lr', 11, ({ lr }) => formatRate(lr)),
  number('grad norm', 7, ({ gradientNorm }) => optional(gradientNorm, formatError)),
  number('loss scale', 5, ({ lossScale }) => (lossScale === undefined ? '' : String(lossScale))),
  number('skipped', 4, ({ skippedUpdates }) => (skippedUpdates === undefined ? '' : String(skippedUpdates))),
  number('img/s', 10, ({ imagesPerSecond }) => imagesPerSecond.toFixed(imagesPerSecond < 99.95 ? 1 : 0)),
  number('data wait', 8, ({ dataWaitShare }) => formatPercent(dataWaitShare)),
  number('ranks', 14, ({ adaptation }) => (adaptation === undefined ? '' : ranksCell(adaptation))),
  number('params', 13, ({ adaptation }) => (adaptation === undefined ? '' : formatPercent(adaptation.paramsShare))),
  number('memory', 6, ({ peakMemory }) => formatBytes(peakMemory)),
  number('time', 9, ({ seconds }) => formatSeconds(seconds)),
];

/** The start, and the epochs that are shown. */
function chosen({ epochs, best: reached, start, written }: TrainReport): readonly Row[] {
  const isShown = (index: number): boolean => {
    if (epochs.length <= MOST_ROWS || index >= epochs.length - LAST_ROWS) return true;
    return index % Math.ceil(epochs.length / (MOST_ROWS - LAST_ROWS)) === 0 || epochs[index]?.epoch === reached?.epoch;
  };
  const best = written?.epoch === 0 ? 0 : reached?.epoch;
  const first: readonly Row[] = start === null ? [] : [{ epoch: { ...start, epoch: 0 }, isBest: best === 0 }];
  const shown = epochs.filter((_, index) => isShown(index));
  return [...first, ...shown.map((epoch) => ({ epoch, isBest: epoch.epoch === best }))];
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
  const {
    best,
    data,
    output,
    seconds,
    resumedFrom,
    badImages,
    reason,
    status,
    foundRate,
    conversion,
    retreats = [],
    start,
  } = report;
  const all: readonly (readonly [string, string])[] = [
    ['status', reason === null ? status : `${status}: ${reason}`],
    ['written', output === null ? '' : `${output.path}, ${formatBytes(output.bytes)}: ${writtenText(report)}`],
    ['last epoch', lastText(report)],
    ['saved', savedText(report)],
    ['best', best === null || output !== null ? '' : `top-1 ${formatPercent(best.top1)} in epoch ${best.epoch}`],
    ['in one piece', inOnePieceText(report)],
    ['learning rate', foundRate === undefined ? '' : foundRateText(foundRate)],
    ['conversion', conversion === undefined ? '' : conversionText(conversion)],
    ...retreats.map((retreat) => ['went back', retreatText(retreat, start)] as const),
    ['data', dataText(data.train)],
    ['validation', data.val === null ? '' : dataText(data.val)],
    ['bad images', badImagesText(badImages)],
    ['resumed', resumedFrom === null ? '' : `after ${plural(resumedFrom.steps, 'update')}, from ${resumedFrom.path}`],
    [
      'time',
      `${formatSeconds(seconds.total)}  (prepare ${formatSeconds(seconds.prepare)}, train ${formatSeconds(seconds.train)}, validate ${formatSeconds(seconds.validate)}, write ${formatSeconds(seconds.write)})`,
    ],
  ];
  return all.filter(([, text]) => text !== '');
}

/** A line for a result that is no better than the start: red where it is worse. */
function verdictLines(verdict: TrainVerdict | null, terminal: Terminal): readonly string[] {
  if (verdict === null || verdict.level === 'better') return [];
  const { level, finding, advice } = verdict;
  const text = printable(advice === null ? finding : `${finding}; ${advice}`);
  const colour = advice === null ? undefined : level === 'worse' ? 'red' : 'yellow';
  return wrap(text, terminal.columns ?? Infinity).map((line) => paint(terminal, colour, line));
}

/** The command stands on a line of its own, as it can be copied. */
function goOnLines(report: TrainReport): readonly string[] {
  const goOn = goOnText(report);
  return goOn === undefined ? [] : ['', `${goOn.heading}:`, `  ${printable(goOn.command)}`];
}

/** The report as text for people: one line an epoch, what was written, the data, the warnings. Ends with a line break. */
export function renderTrainTable(report: TrainReport, terminal: Terminal): string {
  const rows = chosen(report);
  const left = report.epochs.length - rows.filter(({ epoch }) => isTrained(epoch)).length;
  return [
    paint(terminal, 'bold', printable(report.model.path)),
    '',
    ...(rows.length === 0 ? [] : renderTable(COLUMNS, rows, terminal)),
    ...(report.epochs.length === 0 ? ['no epoch was finished'] : []),
    ...(left === 0 ? [] : [paint(terminal, 'dim', `${plural(left, 'epoch')} not shown`)]),
    '',
    ...renderFacts(facts(report), terminal),
    ...verdictLines(report.verdict, terminal),
    ...report.warnings.map((warning) => `${paint(terminal, 'yellow', 'warning:')} ${printable(warning)}`),
    ...goOnLines(report),
    '',
  ].join('\n');
}
