import { printable, truncate } from '../text.js';
import { AXIS_HEIGHT, AXIS_STYLE, LABEL_STYLE, ROW_HEIGHT, rowAxes, rowGrid } from './chart.js';
import type { ChartRenderer, ChartText } from './chart.js';
import { trusted } from './markup.js';
import type { Markup } from './markup.js';
import { colour } from './theme.js';

/** One layer: shares of its squared outputs. */
export interface GapRow {
  readonly name: string;
  readonly bound: number;
  readonly gap: number;
}

const LAYOUTS = [
  { width: 1080, nameWidth: 280, letters: 44, className: 'wide' },
  { width: 340, nameWidth: 110, letters: 17, className: 'narrow' },
] as const;

const VALUE_WIDTH = 120;

/** A share as per cent with two significant digits. */
export function sharePercent(share: number): string {
  const percent = 100 * share;
  if (percent === 0) return '0 %';
  return `${Math.abs(percent) >= 0.001 ? String(Number(percent.toPrecision(2))) : percent.toExponential(0)} %`;
}

function valueText({ bound, gap }: GapRow): string {
  return `${sharePercent(bound)} ≤ ${sharePercent(gap)}`;
}

function drawLayout(
  renderer: ChartRenderer,
  rows: readonly GapRow[],
  text: ChartText,
  layout: (typeof LAYOUTS)[number],
): Markup {
  const largest = Math.max(...rows.map(({ bound, gap }) => Math.max(bound, gap)), Number.MIN_VALUE);
  const texts = rows.map((row) => `${row.name}: bound ${sharePercent(row.bound)}, measured ${sharePercent(row.gap)}`);
  const names = rows.map(({ name }) => truncate(printable(name), layout.letters, 'middle'));
  const bar = { type: 'bar', clip: false, emphasis: { disabled: true } } as const;
  return renderer.draw(
    {
      grid: rowGrid(names, layout.nameWidth, VALUE_WIDTH),
      xAxis: {
        type: 'value',
        ...AXIS_STYLE,
        max: largest,
        splitNumber: layout.className === 'wide' ? 4 : 2,
        axisLabel: { ...AXIS_STYLE.axisLabel, formatter: sharePercent, showMaxLabel: false },
      },
      yAxis: rowAxes(names, 2),
      series: [
        {
          ...bar,
          barWidth: 13,
          itemStyle: { color: colour('before') },
          label: {
            ...LABEL_STYLE,
            show: true,
            position: 'right',
            formatter: ({ dataIndex }) => {
              const row = rows[dataIndex];
              return row === undefined ? '' : valueText(row);
            },
          },
          data: rows.map(({ gap }) => Math.max(0, gap)),
        },
        {
          ...bar,
          yAxisIndex: 1,
          barWidth: 7,
          itemStyle: { color: colour('after') },
          data: rows.map(({ bound }) => bound),
        },
      ],
    },
    { width: layout.width, height: rows.length * ROW_HEIGHT + AXIS_HEIGHT },
    { ...text, items: [texts, texts] },
    layout.className,
  );
}

/** The measured gap as a wide grey bar, the bound as a narrow one inside; one row a layer. At least one row. */
export function drawGapChart(renderer: ChartRenderer, rows: readonly GapRow[], text: ChartText): Markup {
  return trusted(LAYOUTS.map((layout) => drawLayout(renderer, rows, text, layout).html).join(''));
}
