import type { ClassResult } from '../../contracts/eval.js';
import { formatPercent, formatWhole } from '../format.js';
import type { ChartRenderer } from './chart.js';
import type { Markup } from './markup.js';
import { drawNestedBars } from './nested-bars.js';

/** The model's right images of a class over all of that class: top-1 where there are any. */
function barText({ top1, n }: ClassResult): string {
  return top1 === null ? 'no images' : `${formatPercent(top1)} of ${formatWhole(n)}`;
}

/** One bar a class, in the order of the rows. At least one row. */
export function drawClassChart(renderer: ChartRenderer, rows: readonly ClassResult[]): Markup {
  const chart = {
    names: rows.map(({ name, class: index }) => (name === '' ? `class ${index}` : name)),
    labels: rows.map(barText),
    texts: rows.map((row) => `${row.name}: ${barText(row)}`),
    series: [
      { values: rows.map(() => 1), isNarrow: false, fill: 'outline' },
      { values: rows.map(({ top1 }) => top1 ?? 0), isNarrow: false, fill: 'after' },
    ],
    span: 'half',
    labelWidths: [104, 104],
  } as const;
  return drawNestedBars(renderer, chart, {
    title: 'Top-1 of each class',
    description: `${rows.length} classes. The table of all classes holds the numbers.`,
  });
}
