import type { ClassResult } from '../eval-contract.js';
import { formatPercent, formatWhole } from '../format.js';
import { printable, truncate } from '../text.js';
import { AXIS_HEIGHT, LABEL_STYLE, ROW_HEIGHT, rowAxes, rowGrid, shareAxis } from './chart.js';
import type { ChartRenderer } from './chart.js';
import { trusted } from './markup.js';
import type { Markup } from './markup.js';
import { colour } from './theme.js';

const LAYOUTS = [
  { width: 540, nameWidth: 190, letters: 30, className: 'wide' },
  { width: 340, nameWidth: 110, letters: 17, className: 'narrow' },
] as const;
const VALUE_WIDTH = 104;

/** The model's right images of a class over all of that class: top-1 where there are any. */
function barText({ top1, n }: ClassResult): string {
  return top1 === null ? 'no images' : `${formatPercent(top1)} of ${formatWhole(n)}`;
}

function drawLayout(renderer: ChartRenderer, rows: readonly ClassResult[], layout: (typeof LAYOUTS)[number]): Markup {
  const names = rows.map(({ name, class: index }) =>
    truncate(printable(name === '' ? `class ${index}` : name), layout.letters, 'middle'),
  );
  const texts = rows.map((row) => `${row.name}: ${barText(row)}`);
  const bar = { type: 'bar', barWidth: 13, clip: false, emphasis: { disabled: true } } as const;
  return renderer.draw(
    {
      grid: rowGrid(names, layout.nameWidth, VALUE_WIDTH),
      xAxis: shareAxis(layout.className === 'wide'),
      yAxis: rowAxes(names, 2),
      series: [
        {
          ...bar,
          itemStyle: { color: 'none', borderColor: colour('line'), borderWidth: 1 },
          label: {
            ...LABEL_STYLE,
            show: true,
            position: 'right',
            formatter: ({ dataIndex }) => {
              const row = rows[dataIndex];
              return row === undefined ? '' : barText(row);
            },
          },
          data: rows.map(() => 1),
        },
        { ...bar, yAxisIndex: 1, itemStyle: { color: colour('after') }, data: rows.map(({ top1 }) => top1 ?? 0) },
      ],
    },
    { width: layout.width, height: rows.length * ROW_HEIGHT + AXIS_HEIGHT },
    {
      title: 'Top-1 of each class',
      description: `${rows.length} classes. The table of all classes holds the numbers.`,
      items: [texts, texts],
    },
    layout.className,
  );
}

/** One bar a class, in the order of the rows. At least one row. */
export function drawClassChart(renderer: ChartRenderer, rows: readonly ClassResult[]): Markup {
  return trusted(LAYOUTS.map((layout) => drawLayout(renderer, rows, layout).html).join(''));
}
