import { formatCount } from '../format.js';
import type { ChartRenderer, ChartText } from './chart.js';
import type { Markup } from './markup.js';
import { drawNestedBars } from './nested-bars.js';

/** One bar: what a layer had, and what is left. */
export interface ChangeRow {
  readonly name: string;
  readonly before: number;
  readonly after: number;
  readonly isKept: boolean;
}

function valueText(row: ChangeRow): string {
  return row.before === row.after ? formatCount(row.before) : `${formatCount(row.before)} → ${formatCount(row.after)}`;
}

/** Horizontal bars, one a layer: the original's count as a wide grey bar, the written file's as a narrow one inside. */
export function drawChangeChart(renderer: ChartRenderer, rows: readonly ChangeRow[], text: ChartText): Markup {
  const chart = {
    names: rows.map(({ name }) => name),
    labels: rows.map(valueText),
    texts: rows.map((row) => `${row.name}: ${valueText(row)}${row.isKept ? ', kept' : ''}`),
    series: [
      // The label stands behind whichever of the two bars is longer.
      { values: rows.map(({ before, after }) => Math.max(before, after)), isNarrow: false, fill: 'before' },
      {
        values: rows.map(({ after }) => after),
        isNarrow: true,
        fill: rows.map(({ isKept }) => (isKept ? 'kept' : 'after')),
      },
    ],
    format: formatCount,
    span: 'half',
    labelWidths: [104, 104],
  } as const;
  return drawNestedBars(renderer, chart, text);
}
