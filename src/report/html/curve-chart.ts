import { formatWhole } from '../format.js';
import { AXIS_STYLE, type ChartRenderer } from './chart.js';
import { trusted, type Markup } from './markup.js';
import type { LegendEntry } from './page.js';
import { colour, type ColourName } from './theme.js';

/** Colour and dashes: either is enough to tell the curves of one picture apart. */
export interface Stroke {
  readonly colour: ColourName;
  readonly shape: 'line' | 'solid' | 'dotted';
}

export interface Curve extends Stroke {
  readonly name: string;
  /** One for each epoch; null where there is none. Values that are not finite leave a gap. */
  readonly values: readonly (number | null)[];
}

/** A point of one of the curves that stands out; its text stands in the legend. */
export interface CurveMark {
  readonly epoch: number;
  readonly value: number;
  readonly text: string;
  /** Default: a ring. */
  readonly shape?: 'ring' | 'diamond';
}

export interface CurveChart {
  readonly title: string;
  readonly epochs: readonly number[];
  /** What `epochs` count. Default: "epoch". */
  readonly unit?: string;
  readonly curves: readonly Curve[];
  format(value: number): string;
  /** Default: 0, or further down where there are negative values. */
  readonly min?: number;
  /** Default: what the values need. */
  readonly max?: number;
  /** Between the lines across. Default: what suits the values. */
  readonly interval?: number;
  readonly marks?: readonly CurveMark[];
}

/** The same chart for a column of a wide page, and for a telephone. */
const LAYOUTS = [
  { width: 540, height: 250, className: 'wide' },
  { width: 340, height: 220, className: 'narrow' },
] as const;
/** More points than this cannot be told apart at this width. */
const MOST_POINTS = 240;
/** Up to here every point is drawn, with its number under the pointer. */
const MOST_SYMBOLS = 40;
const DASHES: Readonly<Record<Stroke['shape'], 'solid' | number[]>> = { solid: 'solid', line: [6, 4], dotted: [2, 3] };

type Point = [epoch: number, value: number];

function pointsOf(epochs: readonly number[], values: readonly (number | null)[]): Point[] {
  const points = epochs.flatMap((epoch, index): Point[] => {
    const value = values[index];
    return value === null || value === undefined || !Number.isFinite(value) ? [] : [[epoch, value]];
  });
  const stride = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_, index) => index % stride === 0 || index === points.length - 1);
}

/** One entry a curve, and one a mark; nothing where there is a single curve. */
export function curveLegend({ curves, marks = [] }: CurveChart): readonly LegendEntry[] {
  const entries = [
    ...curves.map(({ name, shape, colour: of }): LegendEntry => ({ shape, colour: colour(of), text: name })),
    ...marks.map(({ text, shape = 'ring' }): LegendEntry => ({ shape, colour: colour('ink'), text })),
  ];
  return entries.length === 1 ? [] : entries;
}

function markSeries({ epoch, value, shape = 'ring' }: CurveMark) {
  const ring = { color: 'none', borderColor: colour('ink'), borderWidth: 2 };
  return {
    type: 'scatter' as const,
    symbol: shape === 'ring' ? 'circle' : 'diamond',
    symbolSize: 10,
    clip: false,
    emphasis: { disabled: true },
    itemStyle: shape === 'ring' ? ring : { color: colour('ink') },
    data: [[epoch, value]],
  };
}

/** Room for half of the last number below the axis. */
function rightOf(last: number): number {
  return Math.max(20, Math.ceil(3.4 * formatWhole(last).length));
}

function drawLayout(renderer: ChartRenderer, chart: CurveChart, layout: (typeof LAYOUTS)[number]): Markup {
  const { epochs, curves, format, marks = [], unit = 'epoch' } = chart;
  const first = epochs[0] ?? 1;
  const last = Math.max(first + 1, epochs.at(-1) ?? 1);
  const points = curves.map(({ values }) => pointsOf(epochs, values));
  const description = curves
    .map(({ name }, index) => {
      const [start, end] = [points[index]?.at(0), points[index]?.at(-1)];
      return start === undefined || end === undefined
        ? `${name}: no values`
        : `${name}: ${format(start[1])} in ${unit} ${start[0]}, ${format(end[1])} in ${unit} ${end[0]}`;
    })
    .join('; ');
  const inner = Math.round((last - first) / (layout.className === 'wide' ? 5 : 3)) || 1;
  const ticks = Array.from({ length: Math.ceil((last - first) / inner) }, (_, index) => first + index * inner);
  return renderer.draw(
    {
      grid: { left: 58, right: rightOf(last), top: 14, bottom: 40, outerBoundsMode: 'none' },
      xAxis: {
        type: 'value',
        ...AXIS_STYLE,
        min: first,
        max: last,
        name: unit,
        nameLocation: 'middle',
        nameGap: 24,
        splitLine: { show: false },
        axisLine: { show: true, onZero: false, lineStyle: { color: colour('line') } },
        axisLabel: {
          ...AXIS_STYLE.axisLabel,
          customValues: [...ticks.filter((tick) => last - tick > inner / 2), last],
        },
      },
      yAxis: {
        type: 'value',
        ...AXIS_STYLE,
        ...(chart.min === undefined ? {} : { min: chart.min }),
        ...(chart.max === undefined ? {} : { max: chart.max }),
        ...(chart.interval === undefined ? { splitNumber: 4 } : { interval: chart.interval }),
        axisLabel: { ...AXIS_STYLE.axisLabel, formatter: format },
      },
      series: [
        ...curves.map((curve, index) => ({
          type: 'line' as const,
          symbol: 'circle',
          showSymbol: (points[index]?.length ?? 0) <= MOST_SYMBOLS,
          symbolSize: points[index]?.length === 1 ? 8 : 4,
          clip: false,
          emphasis: { disabled: true },
          lineStyle: { color: colour(curve.colour), width: 2, type: DASHES[curve.shape] },
          itemStyle: { color: colour(curve.colour) },
          data: points[index] ?? [],
        })),
        ...marks.map(markSeries),
      ],
    },
    layout,
    {
      title: chart.title,
      description: `${description}. The table of all ${unit}s holds the numbers.`,
      items: [
        ...curves.map(({ name }, index) =>
          (points[index] ?? []).map(([epoch, value]) => `${unit} ${epoch}, ${name}: ${format(value)}`),
        ),
        ...marks.map(({ text }) => [text]),
      ],
    },
    layout.className,
  );
}

/** Values over epochs. At least one finite value. */
export function drawCurveChart(renderer: ChartRenderer, chart: CurveChart): Markup {
  return trusted(LAYOUTS.map((layout) => drawLayout(renderer, chart, layout).html).join(''));
}

/** Whether there is anything to draw. */
export function hasValues(values: readonly (number | null)[]): boolean {
  return values.some((value) => value !== null && Number.isFinite(value));
}
