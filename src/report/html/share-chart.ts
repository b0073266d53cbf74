import type { Interval } from '../../contracts/eval.js';
import { formatPercent } from '../format.js';
import { printable, truncate } from '../text.js';
import {
  AXIS_HEIGHT,
  LABEL_STYLE,
  ROW_HEIGHT,
  rowAxes,
  rowGrid,
  shareAxis,
  type ChartRenderer,
  type ChartText,
} from './chart.js';
import { trusted, type Markup } from './markup.js';
import { colour, type ColourName } from './theme.js';

/** A share of 1 with its interval. */
export interface ShareRow {
  readonly name: string;
  readonly value: number;
  readonly ci95: Interval;
  readonly colour: ColourName;
}

const LAYOUTS = [
  { width: 1080, nameWidth: 200, letters: 30, className: 'wide' },
  { width: 340, nameWidth: 110, letters: 15, className: 'narrow' },
] as const;

const VALUE_WIDTH = 56;

function drawLayout(
  renderer: ChartRenderer,
  rows: readonly ShareRow[],
  text: ChartText,
  layout: (typeof LAYOUTS)[number],
): Markup {
  const texts = rows.map(
    ({ name, value, ci95: [low, high] }) =>
      `${name}: ${formatPercent(value)}, 95 % interval ${formatPercent(low)} to ${formatPercent(high)}`,
  );
  const names = rows.map(({ name }) => truncate(printable(name), layout.letters, 'middle'));
  const intervals = rows.map(({ ci95: [low, high] }, row) => ({
    type: 'line' as const,
    showSymbol: false,
    silent: true,
    clip: false,
    emphasis: { disabled: true },
    lineStyle: { color: colour('ink'), width: 2 },
    data: [
      [low, row],
      [high, row],
    ],
  }));
  return renderer.draw(
    {
      grid: rowGrid(names, layout.nameWidth, VALUE_WIDTH),
      xAxis: shareAxis(layout.className === 'wide'),
      yAxis: rowAxes(names, 1),
      series: [
        {
          type: 'bar',
          barWidth: 11,
          clip: false,
          emphasis: { disabled: true },
          data: rows.map((row) => ({ value: row.value, itemStyle: { color: colour(row.colour) } })),
        },
        ...intervals,
        {
          // The numbers stand in one column, clear of the intervals.
          type: 'scatter',
          symbolSize: 0,
          itemStyle: { color: 'none' },
          silent: true,
          clip: false,
          label: {
            ...LABEL_STYLE,
            show: true,
            position: 'right',
            formatter: ({ dataIndex }) => formatPercent(rows[dataIndex]?.value ?? 0),
          },
          data: rows.map((_, row) => [1, row]),
        },
      ],
    },
    { width: layout.width, height: rows.length * ROW_HEIGHT + AXIS_HEIGHT },
    { ...text, items: [texts] },
    layout.className,
  );
}

/** Horizontal bars with their intervals, one a row. At least one row. */
export function drawShareChart(renderer: ChartRenderer, rows: readonly ShareRow[], text: ChartText): Markup {
  return trusted(LAYOUTS.map((layout) => drawLayout(renderer, rows, text, layout).html).join(''));
}
