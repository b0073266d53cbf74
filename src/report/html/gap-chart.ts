import type { ChartRenderer, ChartText } from './chart.js';
import type { Markup } from './markup.js';
import { drawNestedBars } from './nested-bars.js';

/** One layer: shares of its squared outputs. */
export interface GapRow {
  readonly name: string;
  readonly bound: number;
  readonly gap: number;
}

/** A share as per cent with two significant digits. */
function sharePercent(share: number): string {
  const percent = 100 * share;
  if (percent === 0) return '0 %';
  return `${Math.abs(percent) >= 0.001 ? String(Number(percent.toPrecision(2))) : percent.toExponential(0)} %`;
}

/** The measured gap as a wide grey bar, the bound as a narrow one inside; one row a layer. At least one row. */
export function drawGapChart(renderer: ChartRenderer, rows: readonly GapRow[], text: ChartText): Markup {
  const chart = {
    names: rows.map(({ name }) => name),
    labels: rows.map(({ bound, gap }) => `${sharePercent(bound)} ≤ ${sharePercent(gap)}`),
    texts: rows.map(({ name, bound, gap }) => `${name}: bound ${sharePercent(bound)}, measured ${sharePercent(gap)}`),
    series: [
      { values: rows.map(({ gap }) => Math.max(0, gap)), isNarrow: false, fill: 'before' },
      { values: rows.map(({ bound }) => bound), isNarrow: true, fill: 'after' },
    ],
    format: sharePercent,
    span: 'whole',
    labelWidths: [120, 120],
  } as const;
  return drawNestedBars(renderer, chart, text);
}
