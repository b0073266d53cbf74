import { pointsIntervalText, pointsText } from '../eval-text.js';
import type { Interval } from '../../contracts/eval.js';
import { AXIS_HEIGHT, AXIS_STYLE, rowAxes, rowGrid, ROW_HEIGHT, type ChartRenderer } from './chart.js';
import { trusted, type Markup } from './markup.js';
import { colour, type ColourName } from './theme.js';

/** A mean difference of accuracies, fractions of 1, with its interval. */
export interface IntervalRow {
  readonly name: string;
  readonly mean: number;
  readonly ci95: Interval | null;
}

export interface IntervalChart {
  readonly title: string;
  readonly rows: readonly IntervalRow[];
  /** The ends of the axis are ± this, a fraction of 1. */
  readonly most: number;
}

const LAYOUTS = [
  { width: 540, nameWidth: 150, className: 'wide' },
  { width: 340, nameWidth: 110, className: 'narrow' },
] as const;
const NAME_HEIGHT = 18;

/** 1, 2, 2.5 or 5 times a power of ten, at or above. */
export function roundedMost(rows: readonly IntervalRow[]): number {
  const value = Math.max(0.001, ...rows.flatMap(({ mean, ci95 }) => [mean, ...(ci95 ?? [])].map(Math.abs)));
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= value * (1 - 1e-9)) ?? 10);
}

function drawLayout(renderer: ChartRenderer, chart: IntervalChart, layout: (typeof LAYOUTS)[number]): Markup {
  const { rows, most } = chart;
  const names = rows.map(({ name }) => name);
  const height = rows.length * ROW_HEIGHT + AXIS_HEIGHT + NAME_HEIGHT;
  const grid = rowGrid(names, layout.nameWidth, 18);
  const line = { type: 'line' as const, showSymbol: false, silent: true, clip: false, emphasis: { disabled: true } };
  return renderer.draw(
    {
      grid: { ...grid, bottom: grid.bottom + NAME_HEIGHT },
      xAxis: {
        type: 'value',
        ...AXIS_STYLE,
        min: -100 * most,
        max: 100 * most,
        interval: 50 * most,
        // The line at 0 stands out.
        splitLine: {
          lineStyle: { color: ['line', 'line', 'ink', 'line', 'line'].map((name) => colour(name as ColourName)) },
        },
        name: 'points of top-1',
        nameLocation: 'middle',
        nameGap: 26,
      },
      yAxis: rowAxes(names, 1),
      series: [
        {
          type: 'scatter' as const,
          symbolSize: 9,
          clip: false,
          emphasis: { disabled: true },
          itemStyle: { color: colour('after') },
          data: rows.map(({ mean }, index) => [100 * mean, index]),
        },
        ...rows.flatMap(({ ci95 }, index) =>
          ci95 === null
            ? []
            : [
                {
                  ...line,
                  lineStyle: { color: colour('after'), width: 3 },
                  data: ci95.map((end) => [100 * Math.min(most, Math.max(-most, end)), index]),
                },
              ],
        ),
      ],
    },
    { width: layout.width, height },
    {
      title: chart.title,
      description: rows
        .map(
          ({ name, mean, ci95 }) =>
            `${name}: ${pointsText(mean)} points${ci95 === null ? '' : `, ${pointsIntervalText(ci95)}`}`,
        )
        .join('; '),
      items: [rows.map(({ name, mean }) => `${name}: ${pointsText(mean)} points`)],
    },
    layout.className,
  );
}

/** Differences as points on their intervals, a row each. At least one row. */
export function drawIntervalChart(renderer: ChartRenderer, chart: IntervalChart): Markup {
  return trusted(LAYOUTS.map((layout) => drawLayout(renderer, chart, layout).html).join(''));
}
