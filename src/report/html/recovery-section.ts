import type { BlockRecovery, RateTrial, RecoverEvaluation, RecoverReport } from '../../contracts/recover.js';
import { formatLoss, formatPercent, formatRate, formatSeconds, formatWhole, plural } from '../format.js';
import { preparationFact } from '../preparation-text.js';
import { isCloser, matchedText, recoveredText, wentBackText } from '../recover-table.js';
import type { ChartRenderer } from './chart.js';
import type { Curve, CurveChart, CurveMark } from './curve-chart.js';
import { accuracyAxis, curveFigure, lossTick, percentTick } from './curve-figure.js';
import { markup, type Content, type Markup } from './markup.js';
import { code, dataTable, details, factList, section, type TableColumn } from './page.js';
import { numberCard } from './run-sections.js';

/** A longer list of matched values is one click away. */
const mostPoints = 12;

const isByLabels = ({ settings }: RecoverReport): boolean => Number(settings['labelWeight'] ?? 0) > 0;

/** What the share of pictures in a report says. */
const agreementName = (report: RecoverReport): string =>
  isByLabels(report) ? 'Right by the labels' : 'Agreement with the teacher';

const endings: Readonly<Record<RecoverReport['status'], string>> = {
  finished: '',
  'stopped early': ' It ended early: nothing closer was found any more.',
  interrupted: ' It was interrupted.',
};

/** What was written, and how the training ended; `more` stands behind it. */
export function recoveryBox(report: RecoverReport, more = ''): Markup {
  const { status } = report;
  return markup`<div class="verdict ${isCloser(report) ? 'good' : 'caution'}"><span class="icon" aria-hidden="true">${isCloser(report) ? '✓' : '!'}</span><p><strong>${isCloser(report) ? 'Closer to the original' : 'No closer to the original'}.</strong> Written: ${recoveredText(report)}.${endings[status]}${more}</p></div>`;
}

function cards(report: RecoverReport): Markup {
  const { start, written, rate, seconds, stepsPerSecond, data } = report;
  const reached = written ?? start;
  const speed = stepsPerSecond === null ? '' : `${stepsPerSecond.toPrecision(3)} updates a second`;
  const agreement =
    reached.agreement === null || start.agreement === null
      ? null
      : numberCard(agreementName(report), formatPercent(reached.agreement), `${formatPercent(start.agreement)} before`);
  const found =
    rate.from === 'trials'
      ? `of ${plural(rate.trials.length, 'short training')}`
      : rate.from === 'usual'
        ? 'the usual one'
        : 'as given';
  return markup`<ul class="cards">${numberCard('Loss', formatLoss(reached.loss), `${formatLoss(start.loss)} before; on ${plural(data.heldOut.images, 'picture')} kept out`)}${agreement}${numberCard('Learning rate', formatRate(rate.lr), found)}${numberCard('Time', formatSeconds(seconds.total), speed)}</ul>`;
}

function curvesOf(renderer: ChartRenderer, report: RecoverReport): Markup | null {
  const { evaluations, start, written } = report;
  if (evaluations.length === 0) return null;
  const epochs = [0, ...evaluations.map(({ step }) => step)];
  const chart = (
    title: string,
    curves: readonly Curve[],
    format: CurveChart['format'],
    note: string,
    more: Partial<CurveChart> = {},
  ): Markup | null => curveFigure(renderer, { title, epochs, unit: 'step', curves, format, ...more }, note);
  const marks = (of: 'loss' | 'agreement', format: (value: number) => string): readonly CurveMark[] => {
    const [before, after] = [start[of], written?.[of] ?? null];
    return [
      ...(before === null
        ? []
        : [{ epoch: 0, value: before, text: `start: ${format(before)}`, shape: 'diamond' } as const]),
      ...(after === null || written === null
        ? []
        : [{ epoch: written.step, value: after, text: `written: ${format(after)}` }]),
    ];
  };
  const judged = { colour: 'after', shape: 'solid' } as const;
  const losses: readonly Curve[] = [
    {
      ...{ name: 'training', colour: 'kept', shape: 'line' },
      values: [null, ...evaluations.map(({ trainingLoss }) => trainingLoss)],
    },
    { ...judged, name: 'pictures kept out', values: [start.loss, ...evaluations.map(({ loss }) => loss)] },
  ];
  const agreements: readonly Curve[] = [
    { ...judged, name: 'agreement', values: [start.agreement, ...evaluations.map(({ agreement }) => agreement)] },
  ];
  const rates: readonly Curve[] = [
    { ...judged, name: 'learning rate', values: [null, ...evaluations.map(({ lr }) => lr)] },
  ];
  const figures = [
    chart('Loss', losses, lossTick, 'Of training pictures, which are augmented, the mean since the look before', {
      marks: marks('loss', formatLoss),
    }),
    chart(agreementName(report), agreements, percentTick, 'Share of the pictures kept out', {
      ...accuracyAxis(agreements),
      marks: marks('agreement', formatPercent),
    }),
    chart('Learning rate', rates, formatRate, 'Of the last update before each look'),
  ];
  return markup`<div class="two">${figures}</div>`;
}

/** A look at the pictures kept out, or the start. */
type Look = Omit<RecoverEvaluation, 'trainingLoss' | 'lr'> & Partial<RecoverEvaluation>;

function looks({ evaluations, start, written }: RecoverReport): Markup | null {
  if (evaluations.length === 0) return null;
  const rows: readonly Look[] = [{ ...start, step: 0 }, ...evaluations];
  const number = 'number';
  const columns: readonly TableColumn<Look>[] = [
    { header: 'Step', className: number, value: ({ step }) => formatWhole(step) },
    {
      header: 'Training loss',
      className: number,
      value: ({ trainingLoss }) => (trainingLoss === undefined ? '' : formatLoss(trainingLoss)),
    },
    { header: 'Loss', className: number, value: ({ loss }) => formatLoss(loss) },
    {
      header: 'Agreement',
      className: number,
      value: ({ agreement }) => (agreement === null ? '–' : formatPercent(agreement)),
    },
    { header: 'Learning rate', className: number, value: ({ lr }) => (lr === undefined ? '' : formatRate(lr)) },
    {
      header: '',
      value: ({ step }) =>
        [...(step === 0 ? ['start'] : []), ...(step === written?.step ? ['written'] : [])].join(', '),
    },
  ];
  return details(
    `The table of all ${formatWhole(rows.length)} steps`,
    dataTable('Steps that were judged', columns, rows),
  );
}

/** What became of each block, and of the model behind them. */
function blocks({ blocks: found = [], behindBlocks }: RecoverReport): Markup | null {
  if (found.length === 0) return null;
  const columns: readonly TableColumn<BlockRecovery>[] = [
    { header: 'Block', className: 'name', value: ({ name }) => code(name) },
    { header: 'Parameters', className: 'number', value: ({ parameters }) => formatWhole(parameters) },
    { header: 'Loss before', className: 'number', value: ({ start }) => formatLoss(start) },
    { header: 'Loss', className: 'number', value: ({ written }) => formatLoss(written) },
    { header: 'Updates', className: 'number', value: ({ step }) => (step === 0 ? 'as it was' : formatWhole(step)) },
  ];
  const agreement = behindBlocks?.agreement == null ? '' : `, agreement ${formatPercent(behindBlocks.agreement)}`;
  const behind = behindBlocks === undefined ? '' : `Behind them: loss ${formatLoss(behindBlocks.loss)}${agreement}.`;
  return markup`<h3>Block by block</h3><p class="muted">Each learned to give what the teacher's gives, on what the blocks before it give. ${behind}</p>${dataTable('Blocks', columns, found)}`;
}

function trials({ rate, start }: RecoverReport): Markup | null {
  if (rate.trials.length === 0) return null;
  const columns: readonly TableColumn<RateTrial>[] = [
    { header: 'Learning rate', className: 'number', value: ({ lr }) => formatRate(lr) },
    { header: 'Updates', className: 'number', value: ({ steps }) => formatWhole(steps) },
    {
      header: 'Loss behind them',
      className: 'number',
      value: ({ loss }) => (loss === null ? 'not finite' : formatLoss(loss)),
    },
    { header: '', value: ({ lr }) => (lr === rate.lr ? 'chosen' : '') },
  ];
  const note = `Short trainings from the start, whose loss is ${formatLoss(start.loss)}; of rates that gain nearly as much as the best, the largest is taken`;
  return markup`<div><h3>Learning rates that were tried</h3><p class="muted">${note}.</p>${dataTable('Learning rates that were tried', columns, rate.trials)}</div>`;
}

function points({ points: matched }: RecoverReport['matching']): Markup | null {
  if (matched.length === 0) return null;
  const columns: readonly TableColumn<(typeof matched)[number]>[] = [
    { header: 'Value', className: 'name', value: ({ name }) => code(name) },
    { header: 'Weight', className: 'number', value: ({ weight }) => weight.toPrecision(3) },
  ];
  const table = dataTable('Matched values', columns, matched);
  return markup`<div><h3>Matched values</h3><p class="muted">Values that both models have: their squared difference over the variance of the teacher's, times the weight, is added to the loss.</p>${matched.length <= mostPoints ? table : details(`The table of ${plural(matched.length, 'value')}`, table)}</div>`;
}

function facts(report: RecoverReport): readonly (readonly [string, Content])[] {
  const { data, matching, seconds } = report;
  const { heldOut } = data;
  const wentBack = wentBackText(report);
  return [
    ['Learned from', markup`${code(data.path)}: ${plural(data.images, 'picture')}`],
    [
      'Judged by',
      markup`${heldOut.from === 'option' ? code(heldOut.path) : 'others of these'}: ${plural(heldOut.images, 'picture')} that the model did not learn from`,
    ],
    ...preparationFact('Images as inputs', report),
    ['Matched', matchedText(matching)],
    [
      'BatchNormalization',
      matching.batchNorm === 'frozen' ? 'frozen: by its running statistics' : 'by the statistics of batches',
    ],
    ...(wentBack === '' ? [] : [['Went back', wentBack] as const]),
    [
      'Time',
      `prepare ${formatSeconds(seconds.prepare)}, rates ${formatSeconds(seconds.trials)}, train ${formatSeconds(seconds.train)}, judge ${formatSeconds(seconds.evaluate)}`,
    ],
  ];
}

/** How a model came closer to its teacher: curves, rates, what was matched. */
export function recoverySection(renderer: ChartRenderer, report: RecoverReport): Markup {
  return section(
    'Towards the original',
    cards(report),
    blocks(report),
    curvesOf(renderer, report),
    looks(report),
    markup`<div class="two">${trials(report)}${points(report.matching)}</div>`,
    factList(facts(report)),
  );
}
