import {
  formatBytes,
  formatError,
  formatLoss,
  formatPercent,
  formatRate,
  formatSeconds,
  formatSpeed,
  formatWhole,
  plural,
} from '../format.js';
import type { TrainEpoch, TrainReport, TrainStart, TrainVerdict } from '../../contracts/train.js';
import {
  conversionText,
  foundRateText,
  goOnText,
  lastText,
  retreatText,
  savedText,
  writtenText,
} from '../train-outcome.js';
import { createChartRenderer, type ChartRenderer } from './chart.js';
import { fileName, warningList } from './convert-html.js';
import { hasValues, type Curve, type CurveChart } from './curve-chart.js';
import { accuracyAxis, curveFigure, lossTick, percentTick } from './curve-figure.js';
import { markup, type Content, type Markup } from './markup.js';
import { code, dataTable, details, factList, renderPage, section, type TableColumn } from './page.js';
import { preparationFact } from '../preparation-text.js';
import { rankSection } from './found-ranks.js';
import { badImageFacts, dataFact, modelFacts, numberCard, settingsSection } from './run-sections.js';

export interface TrainHtmlOptions {
  /** What repeats the run. Default: the report's `command`. */
  readonly commandLine?: string | undefined;
}

/** A longer table of epochs is one click away. */
const MOST_ROWS = 60;

const STATUS = {
  finished: { level: 'good', icon: '✓', text: 'Finished' },
  interrupted: { level: 'caution', icon: '!', text: 'Interrupted' },
  failed: { level: 'caution', icon: '!', text: 'Failed' },
} as const;

function lowest(epochs: readonly TrainEpoch[], valueOf: (epoch: TrainEpoch) => number | null): TrainEpoch | undefined {
  return epochs
    .filter((epoch) => hasValues([valueOf(epoch)]))
    .toSorted((a, b) => (valueOf(a) ?? 0) - (valueOf(b) ?? 0))
    .at(0);
}

function cards(report: TrainReport): Markup {
  const { epochs, best, seconds, start } = report;
  const last = epochs.at(-1);
  const before = start === null ? '' : `; ${formatPercent(start.valTop1)} before training`;
  if (last === undefined) return markup``;
  const bestLoss = lowest(epochs, ({ valLoss }) => valLoss);
  const mean = epochs.reduce((sum, { imagesPerSecond }) => sum + imagesPerSecond, 0) / epochs.length;
  const wait = epochs.reduce((sum, { dataWaitShare }) => sum + dataWaitShare, 0) / epochs.length;
  const accuracy =
    best === null
      ? numberCard('Training top-1', formatPercent(last.top1), `in epoch ${last.epoch}; nothing was validated`)
      : numberCard('Best validation top-1', formatPercent(best.top1), `in epoch ${best.epoch}${before}`);
  const loss =
    bestLoss === undefined
      ? numberCard('Training loss', formatLoss(last.loss), `in epoch ${last.epoch}`)
      : numberCard('Lowest validation loss', formatLoss(bestLoss.valLoss ?? NaN), `in epoch ${bestLoss.epoch}`);
  const speed = numberCard('Mean speed', formatSpeed(mean), `${formatPercent(wait)} waiting for images`);
  const time = numberCard('Time', formatSeconds(seconds.total), `peak memory ${formatBytes(last.peakMemory)}`);
  return markup`<ul class="cards">${accuracy}${loss}${speed}${time}</ul>`;
}

/** What was written, or saved, and how it goes on. */
function outcome(report: TrainReport): Content {
  const { output } = report;
  const last = lastText(report);
  if (output !== null) {
    return markup`Written: ${code(output.path)}, ${writtenText(report)}.${last === '' ? null : ` Last: ${last}.`}`;
  }
  const saved = savedText(report);
  const next = goOnText(report);
  const goOn = next === undefined ? null : markup` ${capitalized(next.heading)} ${code(next.command)}.`;
  return markup`No model was written.${saved === '' ? null : ` Saved: ${saved}.`}${goOn}`;
}

/** A result that is no better than the start, and what to try. */
function verdictBox(verdict: TrainVerdict | null): Markup | null {
  if (verdict === null || verdict.level === 'better') return null;
  const { level, finding, advice } = verdict;
  return markup`<div class="verdict ${level === 'worse' ? 'bad' : 'caution'}"><span class="icon" aria-hidden="true">!</span><p><strong>${capitalized(finding)}.</strong>${advice === null ? null : ` ${capitalized(advice)}.`}</p></div>`;
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function header(report: TrainReport): Markup {
  const { epochs, data, best, status, reason, resumedFrom } = report;
  const { level, icon, text } = STATUS[status];
  const last = epochs.at(-1);
  const updates = last === undefined ? '' : `, ${plural(last.steps, 'update')}`;
  const lead = markup`${plural(epochs.length, 'epoch')}${updates} on ${plural(data.train.images, 'image')}${best === null ? '' : markup`; at best <strong>${formatPercent(best.top1)}</strong> of the validation images right`}.`;
  const resumed =
    resumedFrom === null
      ? null
      : markup` Resumed after ${plural(resumedFrom.steps, 'update')}, from ${code(resumedFrom.path)}.`;
  return markup`<p class="eyebrow">lowrank training report</p><h1 class="name">${fileName(report.model.path)}</h1><p class="lead">${lead}</p><div class="verdict ${level}"><span class="icon" aria-hidden="true">${icon}</span><p><strong>${text}${reason === null ? '' : `: ${reason}`}.</strong> ${outcome(report)}${resumed}</p></div>${verdictBox(report.verdict)}${cards(report)}${warningList(report.warnings)}`;
}

function curveSection(renderer: ChartRenderer, report: TrainReport): Markup | null {
  const { epochs: list, start, best } = report;
  if (list.length === 0) return null;
  const epochs = list.map(({ epoch }) => epoch);
  const curve = (
    name: string,
    of: (epoch: TrainEpoch) => number | null,
    stroke: Pick<Curve, 'colour' | 'shape'>,
  ): Curve => ({
    name,
    values: list.map(of),
    ...stroke,
  });
  /** Curves of training and validation, from epoch 0 on where that was measured. */
  const withStart = (
    curves: readonly Curve[],
    before: readonly (number | null)[],
  ): Pick<CurveChart, 'epochs' | 'curves'> =>
    start === null
      ? { epochs, curves }
      : {
          epochs: [0, ...epochs],
          curves: curves.map((each, index) => ({ ...each, values: [before[index] ?? null, ...each.values] })),
        };
  const training = { colour: 'kept', shape: 'line' } as const;
  const validation = { colour: 'after', shape: 'solid' } as const;
  const single = { colour: 'after', shape: 'solid' } as const;
  const bestLoss = lowest(list, ({ valLoss }) => valLoss);
  const losses = withStart(
    [curve('training', ({ loss }) => loss, training), curve('validation', ({ valLoss }) => valLoss, validation)],
    [null, start?.valLoss ?? null],
  );
  const accuracies = withStart(
    [
      curve('training top-1', ({ top1 }) => top1, training),
      curve('validation top-1', ({ valTop1 }) => valTop1, validation),
      curve('validation top-5', ({ valTop5 }) => valTop5, { colour: 'third', shape: 'dotted' }),
    ],
    [null, start?.valTop1 ?? null, start?.valTop5 ?? null],
  );
  const figures = [
    curveFigure(
      renderer,
      {
        title: 'Loss',
        ...losses,
        format: lossTick,
      },
      bestLoss === undefined
        ? 'Of the training images'
        : `Lowest on the validation images: ${formatLoss(bestLoss.valLoss ?? NaN)} in epoch ${bestLoss.epoch}${start === null ? '' : '; epoch 0 is before training'}`,
    ),
    curveFigure(
      renderer,
      {
        title: 'Accuracy',
        ...accuracies,
        format: percentTick,
        ...accuracyAxis(accuracies.curves),
        marks:
          best === null ? [] : [{ epoch: best.epoch, value: best.top1, text: `best: ${formatPercent(best.top1)}` }],
      },
      'Training images are augmented, and judged while the parameters change',
    ),
    curveFigure(
      renderer,
      { title: 'Learning rate', epochs, curves: [curve('learning rate', ({ lr }) => lr, single)], format: formatRate },
      'At the end of each epoch',
    ),
    curveFigure(
      renderer,
      {
        title: 'Gradient norm',
        epochs,
        curves: [curve('gradient norm', ({ gradientNorm }) => gradientNorm, single)],
        format: (value) => String(Number(value.toPrecision(3))),
      },
      'Of all parameters together, before clipping; mean over the updates',
    ),
    curveFigure(
      renderer,
      {
        title: 'Images a second',
        epochs,
        curves: [curve('images a second', ({ imagesPerSecond }) => imagesPerSecond, single)],
        format: (value) => String(Number(value.toPrecision(3))),
      },
      'While training; validation and checkpoints excluded',
    ),
    curveFigure(
      renderer,
      {
        title: 'Waiting for images',
        epochs,
        curves: [curve('data-wait share', ({ dataWaitShare }) => dataWaitShare, single)],
        format: percentTick,
      },
      'Share of the training time: where it is high, decoding is too slow',
    ),
  ];
  return section('Curves', markup`<div class="two">${figures}</div>`);
}

function optional(value: number | null, format: (value: number) => string): string {
  return value === null ? '–' : format(value);
}

/** An epoch, or what was measured before the first. */
type EpochRow = TrainEpoch | (TrainStart & { readonly epoch: 0 });

function epochColumns({ best, epochs, written }: TrainReport): readonly TableColumn<EpochRow>[] {
  const strong = written?.epoch === 0 ? 0 : best?.epoch;
  const either = (header: string, value: (epoch: EpochRow) => Content): TableColumn<EpochRow> => ({
    header,
    className: 'number wraps',
    value,
  });
  const number = (header: string, value: (epoch: TrainEpoch) => Content): TableColumn<EpochRow> =>
    either(header, (row) => (row.epoch === 0 ? '' : value(row as TrainEpoch)));
  return [
    either('Epoch', ({ epoch }) => {
      const word = epoch === 0 ? 'before training' : epoch === best?.epoch ? 'best' : undefined;
      if (word === undefined) return epoch;
      const both = markup`<span class="muted">${word}</span> ${epoch}`;
      return epoch === strong ? markup`<strong>${both}</strong>` : both;
    }),
    number('Updates', ({ steps }) => formatWhole(steps)),
    number('Loss', ({ loss }) => formatLoss(loss)),
    number('Top-1', ({ top1 }) => formatPercent(top1)),
    either('Val. loss', ({ valLoss }) => optional(valLoss, formatLoss)),
    either('Val. top\u20111', ({ valTop1 }) => optional(valTop1, formatPercent)),
    either('Val. top\u20115', ({ valTop5 }) => optional(valTop5, formatPercent)),
    number('Learning rate', ({ lr }) => formatRate(lr)),
    number('Gradient norm', ({ gradientNorm }) => optional(gradientNorm, formatError)),
    ...(epochs.some(({ lossScale }) => lossScale !== undefined)
      ? [
          number('Loss scale', ({ lossScale }) => (lossScale === undefined ? '' : formatWhole(lossScale))),
          number('Skipped updates', ({ skippedUpdates }) => formatWhole(skippedUpdates ?? 0)),
        ]
      : []),
    number('Img/s', ({ imagesPerSecond }) => imagesPerSecond.toFixed(imagesPerSecond < 99.95 ? 1 : 0)),
    number('Data wait', ({ dataWaitShare }) => formatPercent(dataWaitShare)),
    number('Peak memory', ({ peakMemory }) => formatBytes(peakMemory)),
    number('Time', ({ seconds }) => formatSeconds(seconds)),
  ];
}

function epochSection(report: TrainReport): Markup | null {
  const { epochs, start } = report;
  if (epochs.length === 0) return null;
  const rows: readonly EpochRow[] = [...(start === null ? [] : [{ ...start, epoch: 0 } as const]), ...epochs];
  const table = dataTable('All epochs', epochColumns(report), rows);
  return section(
    'All epochs',
    epochs.length <= MOST_ROWS ? table : details(`The table of ${epochs.length} epochs`, table),
  );
}

function factsSection(report: TrainReport): Markup {
  const { data, output, seconds, checkpoint, foundRate, conversion, retreats = [], start } = report;
  return section(
    'Files',
    factList([
      ...modelFacts('Model before', report.model),
      dataFact('Training images', data.train),
      ...(data.val === null ? [] : [dataFact('Validation images', data.val)]),
      ...preparationFact('Images as inputs', report),
      ...badImageFacts(report.badImages),
      ...(foundRate === undefined ? [] : [['Learning rate', foundRateText(foundRate)] as const]),
      ...(conversion === undefined ? [] : [['Conversion', conversionText(conversion)] as const]),
      ...retreats.map((retreat) => ['Went back', retreatText(retreat, start)] as const),
      ...(output === null
        ? []
        : ([
            ['Written', code(output.path)],
            ['SHA-256', code(output.sha256)],
            ['Size', `${formatWhole(output.bytes)} bytes`],
            ['Its weights', writtenText(report)],
          ] as const)),
      ...(checkpoint === null ? [] : [['Newest checkpoint', code(checkpoint.path)] as const]),
      [
        'Time',
        `${formatSeconds(seconds.total)}: prepare ${formatSeconds(seconds.prepare)}, train ${formatSeconds(seconds.train)}, validate ${formatSeconds(seconds.validate)}, write ${formatSeconds(seconds.write)}`,
      ],
    ]),
  );
}

/** The report of a training run as one HTML page, like `convertHtml`. */
export async function trainHtml(report: TrainReport, options: TrainHtmlOptions = {}): Promise<string> {
  const renderer = await createChartRenderer();
  const { tool } = report;
  return renderPage({
    title: `${fileName(report.model.path)} – lowrank training`,
    header: header(report),
    sections: [
      curveSection(renderer, report),
      rankSection(renderer, report),
      epochSection(report),
      settingsSection(report.settings, options.commandLine ?? report.command, [['seed', report.seed]]),
      factsSection(report),
    ],
    footer: markup`Written by ${tool.name} ${tool.version}.`,
  });
}
