import type {
  BlockRecovery,
  Closeness,
  RecoverEvaluation,
  RecoverExplainReport,
  RecoverReport,
} from '../contracts/recover.js';
import { formatLoss, formatPercent, formatRate, formatSeconds, formatWhole, plural } from './format.js';
import { preparationText } from './preparation-text.js';
import { renderFacts, renderTable, type Column } from './table.js';
import { paint, type Terminal } from './terminal.js';
import { printable } from './text.js';

const mostRows = 20;

const columns: readonly Column<RecoverEvaluation>[] = [
  { header: 'step', align: 'right', importance: 5, value: ({ step }) => formatWhole(step) },
  { header: 'training loss', align: 'right', importance: 2, value: ({ trainingLoss }) => formatLoss(trainingLoss) },
  { header: 'loss', align: 'right', importance: 5, value: ({ loss }) => formatLoss(loss) },
  {
    header: 'agreement',
    align: 'right',
    importance: 4,
    value: ({ agreement }) => (agreement === null ? '' : formatPercent(agreement)),
  },
  { header: 'lr', align: 'right', importance: 1, value: ({ lr }) => formatRate(lr) },
];

const blockColumns: readonly Column<BlockRecovery>[] = [
  { header: 'block', align: 'left', importance: 5, value: ({ name }) => printable(name) },
  { header: 'parameters', align: 'right', importance: 1, value: ({ parameters }) => formatWhole(parameters) },
  { header: 'loss', align: 'right', importance: 4, value: ({ start }) => formatLoss(start) },
  { header: 'written', align: 'right', importance: 5, value: ({ written }) => formatLoss(written) },
  { header: 'step', align: 'right', importance: 2, value: ({ step }) => formatWhole(step) },
];

/** "loss 0.0812 (0.4410 before), agreement 96.0 % (88.0 % before)" */
function reachedText(reached: Closeness, start: Closeness): string {
  const loss = `loss ${formatLoss(reached.loss)} (${formatLoss(start.loss)} before)`;
  if (reached.agreement === null || start.agreement === null) return loss;
  return `${loss}, agreement ${formatPercent(reached.agreement)} (${formatPercent(start.agreement)} before)`;
}

/** Whether what was written is closer to the teacher than what it began with. */
export function isCloser({ written, start }: RecoverReport): boolean {
  return written !== null && written.loss < start.loss;
}

/** What was written, against what it began with. */
export function recoveredText(report: RecoverReport): string {
  const { written, start, data } = report;
  if (written === null) return '';
  const judged = `on ${plural(data.heldOut.images, 'picture')} that ${data.heldOut.images === 1 ? 'was' : 'were'} not learned from`;
  if (written.step === 0 && isCloser(report)) {
    return `the weights behind the blocks: ${reachedText(written, start)} ${judged}`;
  }
  if (written.step === 0) return `the weights that it began with: no others were closer to the teacher ${judged}`;
  return `the weights of step ${formatWhole(written.step)}: ${reachedText(written, start)} ${judged}`;
}

/** "10 classes and 23 values; BatchNormalization frozen; the teacher runs once, before" */
export function matchedText({
  classes,
  points,
  batchNorm,
  teacher,
}: Pick<RecoverReport['matching'], 'classes' | 'points' | 'batchNorm'> &
  Partial<Pick<RecoverReport['matching'], 'teacher'>>): string {
  const matched = [
    ...(classes === null ? [] : [`${formatWhole(classes)} classes`]),
    ...(points.length === 0 ? [] : [plural(points.length, 'value')]),
  ];
  return `${matched.join(' and ')}; BatchNormalization ${batchNorm === 'frozen' ? 'frozen' : 'by batches'}${teacher === 'once' ? '; the teacher runs once, before' : ''}`;
}

/** How a training ended that did not make all of its updates; '' for others. */
function endedText({ status }: RecoverReport): string {
  if (status === 'finished') return '';
  return status === 'interrupted'
    ? 'interrupted: the closest so far was written'
    : 'early: nothing closer was found any more';
}

/** '' where it never did. */
export function wentBackText({ retreats }: RecoverReport): string {
  return retreats === 0 ? '' : `${plural(retreats, 'time')}, with half of the rate each`;
}

/** What a recovery would do, as text for people. Ends with a line break. */
export function renderRecoverExplain(report: RecoverExplainReport, terminal: Terminal): string {
  const { model, teacher, matching, data, start, settings, parameters, kept, preparation } = report;
  const agreement = start.agreement === null ? '' : `, agreement ${formatPercent(start.agreement)}`;
  const facts: (readonly [string, string])[] = [
    ['teacher', printable(teacher.path)],
    ['matched', matchedText(matching)],
    ...matching.points.map(({ name, weight }) => ['', `${printable(name)}, weight ${weight.toPrecision(3)}`] as const),
    [
      'trained',
      `${formatWhole(parameters)} parameters; ${plural(kept.length, 'stored tensor')} kept as ${kept.length === 1 ? 'it is' : 'they are'}`,
    ],
    ['images', `${plural(data.images, 'picture')} to learn from, ${formatWhole(data.heldOut.images)} to judge by`],
    ...(preparation === undefined ? [] : [['', preparationText(preparation)] as const]),
    [
      'updates',
      `${formatWhole(Number(settings['steps']))} of ${plural(Number(settings['batchSize']), 'picture')}, ${String(settings['optimizer'])}`,
    ],
    [
      'trained by',
      settings['recoverBy'] === 'whole'
        ? ''
        : settings['recoverBy'] === 'blocks'
          ? 'blocks'
          : 'blocks, then as a whole',
    ],
    [
      'learning rate',
      settings['recoverBy'] === 'blocks' && settings['lr'] === null
        ? 'the usual one of the optimizer'
        : settings['lr'] === null
          ? 'found by short trainings'
          : formatRate(Number(settings['lr'])),
    ],
    ['augmented', String(settings['augment'])],
    ['start', `loss ${formatLoss(start.loss)}${agreement}`],
  ];
  return [
    paint(terminal, 'bold', printable(model.path)),
    '',
    ...renderFacts(
      facts.filter(([name, text]) => name !== 'trained by' || text !== ''),
      terminal,
    ),
    '',
  ].join('\n');
}

/** A recovery as text for people. Ends with a line break. */
export function renderRecoverTable(report: RecoverReport, terminal: Terminal): string {
  const { evaluations, matching, rate, output, seconds, stepsPerSecond, teacher, preparation } = report;
  const every = Math.ceil(evaluations.length / mostRows);
  const { blocks = [] } = report;
  const rows = evaluations.filter((_, index) => (index + 1) % every === 0 || index === evaluations.length - 1);
  const facts: (readonly [string, string])[] = [
    ['teacher', printable(teacher.path)],
    ['matched', matchedText(matching)],
    [
      'learning rate',
      `${formatRate(rate.lr)}${rate.from === 'trials' ? `, the best of ${plural(rate.trials.length, 'short training')}` : ''}`,
    ],
    ['written', output === null ? '' : `${printable(output.path)}: ${recoveredText(report)}`],
    ['ended', endedText(report)],
    ['went back', wentBackText(report)],
    ['images', preparation === undefined ? '' : preparationText(preparation)],
    ['speed', stepsPerSecond === null ? '' : `${stepsPerSecond.toPrecision(3)} updates a second`],
    ['time', formatSeconds(seconds.total)],
  ];
  return [
    paint(terminal, 'bold', printable(report.model.path)),
    '',
    ...(blocks.length === 0 ? [] : [...renderTable(blockColumns, blocks, terminal), '']),
    ...(rows.length === 0 ? [] : [...renderTable(columns, rows, terminal), '']),
    ...renderFacts(
      facts.filter(([, text]) => text !== ''),
      terminal,
    ),
    '',
  ].join('\n');
}
