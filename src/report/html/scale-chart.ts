import { AXIS_STYLE, type ChartRenderer } from './chart.js';
import { trusted, type Markup } from './markup.js';
import type { LegendEntry } from './page.js';
import { colour, type ColourName } from './theme.js';

/** Means over rank scales, with their standard deviations. */
export interface ScaleLine {
  readonly name: string;
  readonly points: readonly { readonly rankScale: number; readonly mean: number; readonly deviation: number | null }[];
}

export interface ScaleChart {
  readonly title: string;
  readonly lines: readonly ScaleLine[];
  /** A line across, such as the full-rank reference. */
  readonly reference: { readonly name: string; readonly mean: number } | undefined;
  /** Of accuracies; the same for all panels that are compared. */
  readonly axis: AccuracyAxis;
}

interface Mark {
  readonly colour: ColourName;
  readonly symbol: 'circle' | 'rect' | 'triangle';
  readonly dash: 'solid' | number[];
}

/** Colour, symbol and dashes by the line's place; colour and symbol together repeat after fifteen. */
function markOf(index: number): Mark {
  const colours: readonly ColourName[] = ['after', 'kept', 'third', 'muted', 'caution'];
  const symbols = ['circle', 'rect', 'triangle'] as const;
  return {
    colour: colours[index % colours.length]!,
    symbol: symbols[(index + Math.floor(index / colours.length)) % symbols.length]!,
    dash: index < colours.length ? 'solid' : [6, 4],
  };
}

const LAYOUTS = [
  { width: 540, height: 300, className: 'wide' },
  { width: 340, height: 260, className: 'narrow' },
] as const;

const percent = (share: number): string => `${Number((100 * share).toPrecision(3))} %`;

/** One entry a line, and the reference's. */
export function scaleLegend(names: readonly string[], reference: string | undefined): readonly LegendEntry[] {
  const entries = names.map((text, index): LegendEntry => {
    const { colour: of, symbol } = markOf(index);
    return { shape: symbol, colour: colour(of), text };
  });
  if (reference !== undefined) entries.push({ shape: 'line', colour: colour('ink'), text: reference });
  return entries;
}

/** Fractions of 1. */
export interface AccuracyAxis {
  readonly min: number;
  readonly max: number;
  readonly interval: number;
}

/** An axis that holds the values, between multiples of an interval that gives few lines. */
export function accuracyAxis(values: readonly number[]): AccuracyAxis {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const interval = [0.005, 0.01, 0.02, 0.05, 0.1].find((step) => (high - low) / step <= 6) ?? 0.2;
  // Multiples of 0.1 and the like are not exact: what is on a line stays there.
  const [first, last] = [Math.floor(low / interval + 1e-9), Math.ceil(high / interval - 1e-9)];
  return { min: Math.max(0, first * interval), max: Math.min(1, Math.max(last, first + 1) * interval), interval };
}

function drawLayout(renderer: ChartRenderer, chart: ScaleChart, layout: (typeof LAYOUTS)[number]): Markup {
  const { lines, reference, axis } = chart;
  const scales = [...new Set(lines.flatMap(({ points }) => points.map(({ rankScale }) => rankScale)))].toSorted(
    (a, b) => a - b,
  );
  const [first = 0, last = 1] = [scales[0], scales.at(-1)];
  // Lines of equal values stay visible beside each other.
  const shift = (index: number): number => ((last - first || first) * 0.012 * (2 * index - lines.length + 1)) / 2;
  const margin = (last - first || first) * 0.1;
  const across = { type: 'line' as const, silent: true, showSymbol: false, clip: false, emphasis: { disabled: true } };
  const whiskers = lines.flatMap(({ points }, index) =>
    points.flatMap(({ rankScale, mean, deviation }) =>
      deviation === null
        ? []
        : [
            {
              ...across,
              lineStyle: { color: colour(markOf(index).colour), width: 1 },
              data: [mean - deviation, mean + deviation].map((value) => [
                rankScale + shift(index),
                Math.min(axis.max, Math.max(axis.min, value)),
              ]),
            },
          ],
    ),
  );
  return renderer.draw(
    {
      grid: { left: 52, right: 20, top: 14, bottom: 42, outerBoundsMode: 'none' },
      xAxis: {
        type: 'value',
        ...AXIS_STYLE,
        min: first - margin,
        max: last + margin,
        name: 'rank scale',
        nameLocation: 'middle',
        nameGap: 26,
        splitLine: { show: false },
        axisLine: { show: true, onZero: false, lineStyle: { color: colour('line') } },
        axisLabel: { ...AXIS_STYLE.axisLabel, customValues: scales },
      },
      yAxis: {
        type: 'value',
        ...AXIS_STYLE,
        ...axis,
        axisLabel: { ...AXIS_STYLE.axisLabel, formatter: percent },
      },
      series: [
        ...lines.map(({ points }, index) => {
          const { colour: of, symbol, dash } = markOf(index);
          return {
            type: 'line' as const,
            symbol,
            symbolSize: 8,
            showSymbol: true,
            clip: false,
            emphasis: { disabled: true },
            lineStyle: { color: colour(of), width: 2, type: dash },
            itemStyle: { color: colour(of) },
            data: points.map(({ rankScale, mean }) => [rankScale + shift(index), mean]),
          };
        }),
        ...whiskers,
        ...(reference === undefined
          ? []
          : [
              {
                ...across,
                lineStyle: { color: colour('ink'), width: 1.5, type: [6, 4] },
                data: [
                  [first - margin, reference.mean],
                  [last + margin, reference.mean],
                ],
              },
            ]),
      ],
    },
    layout,
    {
      title: chart.title,
      description: lines
        .map(({ name, points }) => {
          const values = points.map(({ rankScale, mean }) => `${percent(mean)} at ${rankScale}`);
          return `${name}: ${values.join(', ')}`;
        })
        .join('; '),
      items: lines.map(({ name, points }) =>
        points.map(({ rankScale, mean, deviation }) => {
          const spread = deviation === null ? '' : ` ± ${percent(deviation)}`;
          return `${name} at rank scale ${rankScale}: ${percent(mean)}${spread}`;
        }),
      ),
    },
    layout.className,
  );
}

/** Top-1 against rank scale, one line an initialization. At least one point. */
export function drawScaleChart(renderer: ChartRenderer, chart: ScaleChart): Markup {
  return trusted(LAYOUTS.map((layout) => drawLayout(renderer, chart, layout).html).join(''));
}
