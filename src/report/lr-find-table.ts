import { formatLoss, formatRate, formatSeconds } from './format.js';
import type { LrFindPoint, LrFindReport } from '../contracts/lr-find.js';
import { renderFacts, renderTable, type Column } from './table.js';
import { paint, type Terminal } from './terminal.js';
import { printable } from './text.js';

/** Rows that are shown: evenly spaced ones. */
const mostRows = 25;
const barWidth = 30;

function columnsFor(points: readonly LrFindPoint[]): readonly Column<LrFindPoint>[] {
  const losses = points.map(({ smoothed }) => smoothed);
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const bar = (value: number): string => '#'.repeat(Math.round((barWidth * (value - low)) / (high - low || 1)));
  return [
    { header: 'lr', align: 'right', importance: 3, value: ({ lr }) => formatRate(lr) },
    { header: 'loss', align: 'right', importance: 2, value: ({ loss }) => formatLoss(loss) },
    { header: 'smoothed', align: 'right', importance: 3, value: ({ smoothed }) => formatLoss(smoothed) },
    { header: '', align: 'left', importance: 1, value: ({ smoothed }) => bar(smoothed) },
  ];
}

/** What to look at where the loss does not fall. */
const noFall =
  'check --normalization and the classes, or take the learning rate of --preset fine-tune where the model is good already';

/** The test as text for people: loss over learning rate, and the suggestion. Ends with a line break. */
export function renderLrFindTable(report: LrFindReport, terminal: Terminal): string {
  const { points, steepest, smallest, suggestion, reason, stopped, seconds, model } = report;
  const every = Math.ceil(points.length / mostRows);
  const rows = points.filter((_, index) => index % every === 0);
  const facts: (readonly [string, string])[] = [
    ...(suggestion === null || steepest === null ? [] : [['steepest', formatRate(steepest)] as const]),
    ...(suggestion === null ? [] : [['smallest', formatRate(smallest)] as const]),
    [
      'suggestion',
      suggestion === null ? `none: ${reason ?? 'the loss never falls'}; ${noFall}` : `--lr ${formatRate(suggestion)}`,
    ],
    ...(stopped === null ? [] : [['stopped', stopped] as const]),
    ['time', formatSeconds(seconds)],
  ];
  return [
    paint(terminal, 'bold', printable(model.path)),
    '',
    ...renderTable(columnsFor(points), rows, terminal),
    '',
    ...renderFacts(facts, terminal),
    '',
  ].join('\n');
}
