import { AXIS_STYLE, type ChartRenderer } from './chart.js';
import type { Markup } from './markup.js';
import { colour } from './theme.js';

/** A layer's singular values, and the rank that was chosen or found. */
export interface LayerSpectrum {
  /** All of them, largest first. */
  readonly singularValues: readonly number[];
  /** null where no rank is to be marked. */
  readonly rank: number | null;
}

const WIDTH = 260;
const HEIGHT = 140;
/** More points than this cannot be told apart at this width. */
const MOST_POINTS = 96;

type Point = [index: number, value: number];

/** At most `MOST_POINTS` of the points, dense where the index is small; the first, the last and those in `always` stay. */
function thin(points: Point[], always: readonly number[]): Point[] {
  const last = points.length - 1;
  if (last < MOST_POINTS) return points;
  const positions = new Set<number>([...always.filter((position) => position >= 0 && position <= last), last]);
  for (let step = 0; step < MOST_POINTS; step++) positions.add(Math.round(last * (step / MOST_POINTS) ** 2));
  return [...positions]
    .toSorted((a, b) => a - b)
    .map((position) => points[position])
    .filter((point) => point !== undefined);
}

/** σ_i / σ₁ over i, what lies under the chosen rank filled. */
export function drawSpectrumChart(renderer: ChartRenderer, name: string, spectrum: LayerSpectrum): Markup {
  const { singularValues, rank } = spectrum;
  const largest = singularValues[0] ?? 0;
  const all: Point[] = singularValues.map((value, index) => [index + 1, largest > 0 ? value / largest : 0]);
  const points = thin(all, [(rank ?? 0) - 1]);
  const end = Math.max(singularValues.length, rank ?? 1, 2);
  const kept = rank === null ? points : points.filter(([index]) => index <= rank);
  const dropped = rank === null ? [] : points.filter(([index]) => index >= rank);
  const atRank = rank === null ? undefined : (all[rank - 1]?.[1] ?? all.at(-1)?.[1] ?? 0);
  const line = { type: 'line', showSymbol: false, clip: false, silent: true, emphasis: { disabled: true } } as const;
  const share =
    atRank === undefined ? '' : ` at the chosen rank ${rank} it is ${(atRank * 100).toFixed(1)} % of the first.`;
  return renderer.draw(
    {
      grid: { left: 30, right: 14, top: 12, bottom: 22, outerBoundsMode: 'none' },
      xAxis: {
        type: 'value',
        ...AXIS_STYLE,
        min: 1,
        max: end,
        splitLine: { show: false },
        axisLine: { show: true, onZero: false, lineStyle: { color: colour('line') } },
        axisLabel: { ...AXIS_STYLE.axisLabel, customValues: [1, Math.round(end / 2), end] },
      },
      yAxis: { type: 'value', ...AXIS_STYLE, min: 0, max: 1, interval: 0.5 },
      series: [
        {
          ...line,
          lineStyle: { color: colour('muted'), width: 1.5 },
          areaStyle: { color: colour('before'), opacity: 0.7 },
          data: dropped,
        },
        {
          ...line,
          lineStyle: { color: colour('after'), width: 2 },
          areaStyle: { color: colour('after'), opacity: 0.35 },
          data: kept,
        },
        {
          ...line,
          lineStyle: { color: colour('ink'), width: 1.5, type: [4, 3] },
          data:
            rank === null
              ? []
              : [
                  [rank, 0],
                  [rank, 1],
                ],
        },
      ],
    },
    { width: WIDTH, height: HEIGHT },
    {
      title: `Singular values of ${name}`,
      description: `${singularValues.length} singular values relative to the first, falling to ${((all.at(-1)?.[1] ?? 0) * 100).toFixed(1)} %;${share}`,
    },
  );
}
