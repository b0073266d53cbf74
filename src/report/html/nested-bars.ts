import { printable, truncate } from '../text.js';
import {
  AXIS_HEIGHT,
  AXIS_STYLE,
  LABEL_STYLE,
  ROW_HEIGHT,
  rowAxes,
  rowGrid,
  shareAxis,
  type ChartRenderer,
  type ChartText,
} from './chart.js';
import { trusted, type Markup } from './markup.js';
import { colour } from './theme.js';

/** Bars of one length a row, drawn over those before them. */
export interface NestedSeries {
  /** One a row. */
  readonly values: readonly number[];
  /** Narrow bars lie inside the wide ones. */
  readonly isNarrow: boolean;
  /** `outline`: the whole that the others are shares of. */
  readonly fill: 'before' | 'after' | 'kept' | 'outline' | readonly ('after' | 'kept')[];
}

export interface NestedBars {
  readonly names: readonly string[];
  /** Behind the bars of a row. */
  readonly labels: readonly string[];
  /** What a screen reader says of a row. */
  readonly texts: readonly string[];
  readonly series: readonly NestedSeries[];
  /** How the numbers of the axis are written; undefined: the bars are shares, from 0 to 1. */
  readonly format?: (value: number) => string;
  /** Of the page: half of it beside another chart, or all. */
  readonly span: 'half' | 'whole';
  /** Pixels for the labels on a wide page and on a telephone. */
  readonly labelWidths: readonly [wide: number, narrow: number];
}

/** The same chart for a column of a wide page, and for a telephone. */
const WIDE = {
  half: { width: 540, nameWidth: 190, letters: 30 },
  whole: { width: 1080, nameWidth: 280, letters: 44 },
};
const NARROW = { width: 340, nameWidth: 110, letters: 17 };

function drawLayout(renderer: ChartRenderer, chart: NestedBars, text: ChartText, isWide: boolean): Markup {
  const { format } = chart;
  const layout = isWide ? WIDE[chart.span] : NARROW;
  const names = chart.names.map((name) => truncate(printable(name), layout.letters, 'middle'));
  const largest = Math.max(...chart.series.flatMap(({ values }) => values), Number.MIN_VALUE);
  return renderer.draw(
    {
      grid: rowGrid(names, layout.nameWidth, chart.labelWidths[isWide ? 0 : 1]),
      xAxis:
        format === undefined
          ? shareAxis(isWide)
          : {
              type: 'value',
              ...AXIS_STYLE,
              max: largest,
              splitNumber: isWide ? 4 : 2,
              axisLabel: { ...AXIS_STYLE.axisLabel, formatter: format, showMaxLabel: false },
            },
      yAxis: rowAxes(names, chart.series.length),
      series: chart.series.map(({ values, isNarrow, fill }, index) => ({
        type: 'bar',
        clip: false,
        emphasis: { disabled: true },
        ...(index === 0 ? {} : { yAxisIndex: index }),
        barWidth: isNarrow ? 7 : 13,
        itemStyle:
          fill === 'outline'
            ? { color: 'none', borderColor: colour('line'), borderWidth: 1 }
            : typeof fill === 'string'
              ? { color: colour(fill) }
              : {},
        ...(index === 0
          ? {
              label: {
                ...LABEL_STYLE,
                show: true,
                position: 'right',
                formatter: ({ dataIndex }) => chart.labels[dataIndex] ?? '',
              },
            }
          : {}),
        data:
          typeof fill === 'string'
            ? [...values]
            : values.map((value, row) => ({ value, itemStyle: { color: colour(fill[row] ?? 'after') } })),
      })),
    },
    { width: layout.width, height: chart.names.length * ROW_HEIGHT + AXIS_HEIGHT },
    { ...text, items: chart.series.map(() => chart.texts) },
    isWide ? 'wide' : 'narrow',
  );
}

/** Horizontal bars, one row a thing, each with bars inside. The first series carries the labels. At least one row. */
export function drawNestedBars(renderer: ChartRenderer, chart: NestedBars, text: ChartText): Markup {
  return trusted([true, false].map((isWide) => drawLayout(renderer, chart, text, isWide).html).join(''));
}
