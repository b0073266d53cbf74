import { formatCount } from '../format.js';
import { printable, truncate } from '../text.js';
import { AXIS_HEIGHT, AXIS_STYLE, LABEL_STYLE, ROW_HEIGHT, rowAxes, rowGrid } from './chart.js';
import type { ChartRenderer, ChartText } from './chart.js';
import { trusted } from './markup.js';
import type { Markup } from './markup.js';
import { colour } from './theme.js';

/** One bar: what a layer had, and what is left. */
export interface ChangeRow {
  readonly name: string;
  readonly before: number;
  readonly after: number;
  readonly isKept: boolean;
}

interface Layout {
  readonly width: number;
  readonly nameWidth: number;
  readonly nameLetters: number;
  readonly className: string;
}

/** The same chart for a column of a wide page, and for a telephone. */
const LAYOUTS: readonly Layout[] = [
  { width: 540, nameWidth: 190, nameLetters: 30, className: 'wide' },
  { width: 340, nameWidth: 110, nameLetters: 17, className: 'narrow' },
];

const VALUE_WIDTH = 104;

function valueText(row: ChangeRow): string {
  return row.before === row.after ? formatCount(row.before) : `${formatCount(row.before)} → ${formatCount(row.after)}`;
}

function itemText(row: ChangeRow): string {
  return `${row.name}: ${valueText(row)}${row.isKept ? ', kept' : ''}`;
}

function drawLayout(renderer: ChartRenderer, rows: readonly ChangeRow[], text: ChartText, layout: Layout): Markup {
  const largest = Math.max(...rows.map(({ before, after }) => Math.max(before, after)), 1);
  const texts = rows.map(itemText);
  const names = rows.map(({ name }) => truncate(printable(name), layout.nameLetters, 'middle'));
  return renderer.draw(
    {
      grid: rowGrid(names, layout.nameWidth, VALUE_WIDTH),
      xAxis: {
        type: 'value',
        ...AXIS_STYLE,
        max: largest,
        splitNumber: layout.className === 'wide' ? 4 : 2,
        axisLabel: { ...AXIS_STYLE.axisLabel, formatter: formatCount, showMaxLabel: false },
      },
      yAxis: rowAxes(names, 2),
      series: [
        {
          type: 'bar',
          barWidth: 13,
          clip: false,
          emphasis: { disabled: true },
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
          // The label stands behind whichever of the two bars is longer.
          data: rows.map(({ before, after }) => Math.max(before, after)),
        },
        {
          type: 'bar',
          yAxisIndex: 1,
          barWidth: 7,
          clip: false,
          emphasis: { disabled: true },
          data: rows.map(({ after, isKept }) => ({
            value: after,
            itemStyle: { color: colour(isKept ? 'kept' : 'after') },
          })),
        },
      ],
    },
    { width: layout.width, height: rows.length * ROW_HEIGHT + AXIS_HEIGHT },
    { ...text, items: [texts, texts] },
    layout.className,
  );
}

/** Horizontal bars, one a layer: the original's count as a wide grey bar, the written file's as a narrow one inside. */
export function drawChangeChart(renderer: ChartRenderer, rows: readonly ChangeRow[], text: ChartText): Markup {
  return trusted(LAYOUTS.map((layout) => drawLayout(renderer, rows, text, layout).html).join(''));
}
