import type { ConfusionCell, EvalReport } from '../../contracts/eval.js';
import { className } from '../eval-text.js';
import { formatPercent } from '../format.js';
import { printable, truncate } from '../text.js';
import { AXIS_STYLE, LABEL_STYLE, nameColumn, type ChartRenderer } from './chart.js';
import { trusted, type Markup } from './markup.js';
import { colour } from './theme.js';

/** More classes than this give cells that cannot be seen. */
export const MOST_HEAT_MAP_CLASSES = 100;
/** Up to here the map stands in one of two columns of the page. */
export const MOST_COLUMN_CLASSES = 24;
/** Up to here the counts stand in the cells. */
const MOST_WITH_COUNTS = 12;
/** A name needs this much of the axis. */
const LABEL_PITCH = 15;

interface Layout {
  readonly width: number;
  readonly nameWidth: number;
  readonly letters: number;
  readonly className: string;
}

const NARROW: Layout = { width: 340, nameWidth: 92, letters: 13, className: 'narrow' };
const COLUMN: Layout = { width: 540, nameWidth: 130, letters: 18, className: 'wide' };
const PAGE: Layout = { width: 1080, nameWidth: 170, letters: 24, className: 'wide' };
const MARGIN = 6;

interface Shade {
  readonly fill: string;
  readonly opacity: number;
}

/** Right images by their share of the class; wrong ones by the root of it, so that rare confusions can be seen. */
function shadeOf(cell: ConfusionCell, share: number): Shade {
  return cell.actual === cell.predicted
    ? { fill: colour('after'), opacity: 0.1 + 0.6 * share }
    : { fill: colour('kept'), opacity: 0.2 + 0.8 * Math.sqrt(share) };
}

function drawLayout(renderer: ChartRenderer, report: EvalReport, layout: Layout): Markup {
  const { perClass, confusion } = report;
  const classes = perClass.length;
  const names = perClass.map(({ class: index }) =>
    truncate(printable(className(report, index)), layout.letters, 'middle'),
  );
  const column = nameColumn(names, layout.nameWidth);
  const side = layout.width - column - MARGIN;
  const size = side / classes;
  const interval = Math.max(0, Math.ceil(LABEL_PITCH / size) - 1);
  const shareOf = ({ actual, count }: ConfusionCell): number => count / Math.max(1, perClass[actual]?.n ?? 0);
  // A name across the bars of its column, read from below.
  const axis = { type: 'category', ...AXIS_STYLE, data: names, splitLine: { show: false } } as const;
  const axisLabel = { ...AXIS_STYLE.axisLabel, color: colour('ink'), interval };
  const fits = (count: number): boolean => String(count).length * 7 + 2 <= size;
  return renderer.draw(
    {
      grid: { left: column, right: MARGIN, top: MARGIN, bottom: column, outerBoundsMode: 'none' },
      xAxis: { ...axis, axisLabel: { ...axisLabel, rotate: 90 } },
      yAxis: { ...axis, inverse: true, axisLabel },
      series: [
        {
          type: 'scatter',
          symbol: 'rect',
          symbolSize: [Math.max(1, size - (size > 8 ? 1 : 0)), Math.max(1, size - (size > 8 ? 1 : 0))],
          clip: false,
          emphasis: { disabled: true },
          data: confusion.map((cell) => {
            const { fill, opacity } = shadeOf(cell, shareOf(cell));
            return {
              value: [cell.predicted, cell.actual],
              itemStyle: { color: fill, opacity },
              label: {
                ...LABEL_STYLE,
                show: classes <= MOST_WITH_COUNTS && fits(cell.count),
                color: colour('ink'),
                opacity: 1,
                formatter: String(cell.count),
              },
            };
          }),
        },
      ],
    },
    { width: layout.width, height: side + column + MARGIN },
    {
      title: 'Confusion of the classes',
      description: `${classes} classes; rows are labels, columns are predictions. The list of the most frequent confusions and the table of all classes hold numbers.`,
      items:
        layout === NARROW
          ? []
          : [
              confusion.map(
                (cell) =>
                  `${className(report, cell.actual)} as ${className(report, cell.predicted)}: ${cell.count}, ${formatPercent(shareOf(cell))}`,
              ),
            ],
    },
    layout.className,
  );
}

/** Labels by predictions, each cell shaded by its share of the label's images. At most `MOST_HEAT_MAP_CLASSES` classes. */
export function drawConfusionChart(renderer: ChartRenderer, report: EvalReport): Markup {
  const wide = report.perClass.length <= MOST_COLUMN_CLASSES ? COLUMN : PAGE;
  return trusted([wide, NARROW].map((layout) => drawLayout(renderer, report, layout).html).join(''));
}
