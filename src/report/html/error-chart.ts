import { allSchemes, type Scheme, shownName } from '../../contracts/convert.js';
import { formatError } from '../format.js';
import type { NumberedLayer } from '../layer-columns.js';
import { AXIS_STYLE, LABEL_STYLE, type ChartRenderer } from './chart.js';
import { trusted, type Markup } from './markup.js';
import { colour, type ColourName } from './theme.js';

interface SchemeMark {
  readonly symbol: 'circle' | 'rect' | 'triangle' | 'diamond';
  readonly colour: ColourName;
  /** Of its line in other charts, and of that in the legend. */
  readonly dashes: 'solid' | number[];
  readonly line: 'solid' | 'line' | 'dotted';
  /** In the legend. */
  readonly text: string;
}

/** Shape and colour of a scheme: either is enough to tell them apart. */
const MARKS: Readonly<Record<string, SchemeMark>> = {
  spatial: { symbol: 'circle', colour: 'after', dashes: 'solid', line: 'solid', text: 'spatial pair: 1×kw, then kh×1' },
  channel: { symbol: 'rect', colour: 'kept', dashes: [6, 4], line: 'line', text: 'channel pair: kh×kw, then 1×1' },
  tucker: { symbol: 'diamond', colour: 'third', dashes: [2, 3], line: 'dotted', text: 'Tucker: 1×1, kh×kw, 1×1' },
};

/** Of a scheme that has none of its own too. */
export function markOf(scheme: Scheme): SchemeMark {
  return (
    MARKS[scheme] ?? { symbol: 'triangle', colour: 'third', dashes: [2, 3], line: 'dotted', text: `${scheme} pair` }
  );
}

export const SCHEMES: readonly Scheme[] = allSchemes;
/** Room beyond the largest value, so that its mark lies inside. */
const HEADROOM = 1.04;
const LAYOUTS = [
  { width: 1080, height: 400, className: 'wide' },
  { width: 340, height: 320, className: 'narrow' },
] as const;
const LABELLED = 10;

export interface ErrorPoint extends NumberedLayer {
  readonly scheme: Scheme;
  readonly weightError: number;
  readonly functionError: number;
}

/** The layers that can be drawn: factorized, both errors finite. */
export function errorPoints(layers: readonly NumberedLayer[]): readonly ErrorPoint[] {
  return layers.flatMap(({ number, layer }) => {
    const { scheme, weightError, functionError } = layer;
    if (scheme === null || weightError === null || functionError === null) return [];
    if (!Number.isFinite(weightError) || !Number.isFinite(functionError)) return [];
    return [{ number, layer, scheme, weightError, functionError }];
  });
}

/** The `count` points with the largest function errors, largest first. */
export function worstPoints(points: readonly ErrorPoint[], count: number): readonly ErrorPoint[] {
  return points.toSorted((a, b) => b.functionError - a.functionError).slice(0, count);
}

/** The next "round" number at or above: 1, 1.5, 2, 3, 4, 5, 6 or 8 times a power of ten. */
function roundUp(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((factor) => factor * power >= value * (1 - 1e-9)) ?? 10;
  return step * power;
}

function drawLayout(renderer: ChartRenderer, points: readonly ErrorPoint[], layout: (typeof LAYOUTS)[number]): Markup {
  const worst = new Set(worstPoints(points, LABELLED));
  const largest = Math.max(...points.map(({ layer }) => layer.params.before), 1);
  const xMax = roundUp(HEADROOM * Math.max(...points.map(({ weightError }) => weightError)));
  const yMax = roundUp(HEADROOM * Math.max(...points.map(({ functionError }) => functionError)));
  const diagonal = Math.min(xMax, yMax);
  const bySchemes = SCHEMES.map((scheme) => points.filter((point) => point.scheme === scheme));
  const itemText = ({ number, layer, weightError, functionError }: ErrorPoint): string =>
    `${number}: ${shownName(layer)}, weight error ${formatError(weightError)}, function error ${formatError(functionError)}, rank ${layer.rank ?? '?'} of ${layer.maxRank}`;
  const axis = { type: 'value', ...AXIS_STYLE, min: 0, nameLocation: 'middle' } as const;
  return renderer.draw(
    {
      grid: { left: 52, right: 30, top: 14, bottom: 46, outerBoundsMode: 'none' },
      xAxis: { ...axis, max: xMax, name: 'weight error  ‖Ŵ − W‖ / ‖W‖', nameGap: 28 },
      yAxis: { ...axis, max: yMax, name: 'function error', nameGap: 38 },
      series: [
        ...bySchemes.map((members, index) => {
          const mark = markOf(SCHEMES[index] ?? 'spatial');
          return {
            type: 'scatter' as const,
            symbol: mark.symbol,
            clip: false,
            emphasis: { disabled: true },
            itemStyle: { color: colour(mark.colour), opacity: 0.8, borderColor: colour('page'), borderWidth: 1 },
            labelLayout: { hideOverlap: true },
            data: members.map((point) => ({
              value: [point.weightError, point.functionError],
              symbolSize: 8 + 14 * Math.sqrt(point.layer.params.before / largest),
              label: {
                ...LABEL_STYLE,
                show: worst.has(point),
                // The library estimates text widths; fonts differ.
                minMargin: 8,
                position: 'right' as const,
                color: colour('ink'),
                // Readable across other marks.
                textBorderColor: colour('page'),
                textBorderWidth: 3,
                formatter: String(point.number),
              },
            })),
          };
        }),
        {
          type: 'line',
          silent: true,
          showSymbol: false,
          clip: false,
          emphasis: { disabled: true },
          lineStyle: { color: colour('muted'), width: 1, type: [5, 4] },
          data: [
            [0, 0],
            [diagonal, diagonal],
          ],
        },
      ],
    },
    layout,
    {
      title: 'Weight error and function error of each factorized layer',
      description: `${points.length} layers; weight errors up to ${formatError(Math.max(...points.map(({ weightError }) => weightError)))}, function errors up to ${formatError(Math.max(...points.map(({ functionError }) => functionError)))}. The table of all layers holds the numbers.`,
      items: bySchemes.map((members) => members.map(itemText)),
    },
    layout.className,
  );
}

/** One mark a layer: how far its weights moved, and how far its outputs did. At least one point. */
export function drawErrorChart(renderer: ChartRenderer, points: readonly ErrorPoint[]): Markup {
  return trusted(LAYOUTS.map((layout) => drawLayout(renderer, points, layout).html).join(''));
}
