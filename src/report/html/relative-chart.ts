import { printable, truncate } from '../text.js';
import {
  AXIS_HEIGHT,
  AXIS_STYLE,
  ROW_HEIGHT,
  roundUp,
  rowAxes,
  rowGrid,
  type ChartRenderer,
  type ChartText,
} from './chart.js';
import { trusted, type Markup } from './markup.js';
import type { LegendEntry } from './page.js';
import { colour, type ColourName } from './theme.js';

/** One kind of mark: the value of every row, null where there is none. Values are relative: −0.02 is 2 % below. */
export interface RelativeSeries {
  readonly name: string;
  readonly values: readonly (number | null)[];
}

const SYMBOLS = ['circle', 'rect', 'triangle', 'diamond', 'ring'] as const satisfies readonly LegendEntry['shape'][];
const COLOURS = ['after', 'kept', 'third', 'caution'] as const satisfies readonly ColourName[];

/** Shape and colour of a series by its place: the first twenty differ. */
export function seriesMark(index: number): { readonly shape: (typeof SYMBOLS)[number]; readonly colour: ColourName } {
  return { shape: SYMBOLS[index % SYMBOLS.length]!, colour: COLOURS[index % COLOURS.length]! };
}

const LAYOUTS = [
  { width: 1080, nameWidth: 280, letters: 44, className: 'wide' },
  { width: 340, nameWidth: 110, letters: 17, className: 'narrow' },
] as const;

function percent(value: number): string {
  const shown = Number((100 * value).toPrecision(2));
  return `${shown > 0 ? '+' : ''}${shown} %`;
}

function drawLayout(
  renderer: ChartRenderer,
  rowNames: readonly string[],
  series: readonly RelativeSeries[],
  text: ChartText,
  layout: (typeof LAYOUTS)[number],
): Markup {
  const values = series.flatMap((each) => each.values.filter((value) => value !== null));
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values);
  const step = roundUp(Math.max(high - low, 1e-9) / (layout.className === 'wide' ? 6 : 3));
  const names = rowNames.map((name) => truncate(printable(name), layout.letters, 'middle'));
  const min = Math.floor(low / step - 1e-9) * step;
  const max = Math.max(Math.ceil(high / step + 1e-9) * step, min + step);
  const last = rowNames.length - 1;
  return renderer.draw(
    {
      grid: rowGrid(names, layout.nameWidth, 30),
      xAxis: {
        type: 'value',
        ...AXIS_STYLE,
        min,
        max,
        interval: step,
        axisLabel: { ...AXIS_STYLE.axisLabel, formatter: percent },
      },
      yAxis: rowAxes(names, 1),
      series: [
        {
          type: 'line',
          silent: true,
          showSymbol: false,
          clip: false,
          emphasis: { disabled: true },
          lineStyle: { color: colour('ink'), width: 1.5, type: [4, 3] },
          data: [
            [0, 0],
            [0, last],
          ],
        },
        ...series.map(({ values: own }, index) => {
          const mark = seriesMark(index);
          const isRing = mark.shape === 'ring';
          return {
            type: 'scatter' as const,
            symbol: isRing ? 'circle' : mark.shape,
            // Equal values lie on each other: the later ones are smaller.
            symbolSize: Math.max(6, 13 - 2 * index),
            clip: false,
            emphasis: { disabled: true },
            itemStyle: isRing
              ? { color: 'none', borderColor: colour(mark.colour), borderWidth: 2 }
              : { color: colour(mark.colour), borderColor: colour('page'), borderWidth: 1 },
            data: own.map((value, row) => (value === null ? ['-', row] : [value, row])),
          };
        }),
      ],
    },
    { width: layout.width, height: rowNames.length * ROW_HEIGHT + AXIS_HEIGHT },
    {
      ...text,
      items: [
        [],
        ...series.map(({ name, values: own }) =>
          own.map((value, row) => `${rowNames[row] ?? ''}, ${name}: ${value === null ? '–' : percent(value)}`),
        ),
      ],
    },
    layout.className,
  );
}

/** One row a layer, one mark a series, around the dashed line of 0. At least one row. */
export function drawRelativeChart(
  renderer: ChartRenderer,
  rows: readonly string[],
  series: readonly RelativeSeries[],
  text: ChartText,
): Markup {
  return trusted(LAYOUTS.map((layout) => drawLayout(renderer, rows, series, text, layout).html).join(''));
}
