import { type LayerReport, type LayerSensitivity, shownName } from '../../contracts/convert.js';
import { formatSmall } from '../format.js';
import { AXIS_STYLE, type ChartRenderer } from './chart.js';
import { markOf, SCHEMES } from './error-chart.js';
import { type Decades, logAxis, onLogAxis } from './log-axis.js';
import type { Markup } from './markup.js';
import { colour } from './theme.js';

const WIDTH = 260;
const HEIGHT = 150;

export interface SensitiveLayer {
  readonly layer: LayerReport;
  readonly sensitivity: LayerSensitivity;
}

/** The layers with curves. */
export function sensitiveLayers(layers: readonly LayerReport[]): readonly SensitiveLayer[] {
  return layers.flatMap((layer) => {
    const { sensitivity } = layer;
    return sensitivity === undefined || sensitivity.curve.length === 0 ? [] : [{ layer, sensitivity }];
  });
}

/** What the outputs feel over what is left of one layer, one line a scheme, the chosen rank ringed. */
export function drawSensitivityChart(
  renderer: ChartRenderer,
  { layer, sensitivity }: SensitiveLayer,
  of: 'macs' | 'params',
  decades: Decades,
): Markup {
  const { curve, change } = sensitivity;
  const { before, after } = layer[of];
  const lines = SCHEMES.flatMap((scheme) => {
    const points = curve
      .filter((point) => point.scheme === scheme)
      .flatMap((point) => {
        const [x, y] = [point[of] / Math.max(1, before), onLogAxis(point.change, decades)];
        return y === undefined || x > 1 ? [] : [{ rank: point.rank, change: point.change, x, y }];
      });
    return points.length === 0 ? [] : [{ scheme, points }];
  });
  const at = layer.action === 'kept' ? undefined : onLogAxis(change, decades);
  const still = { clip: false, emphasis: { disabled: true } } as const;
  const [lowest, highest] = [curve[0], curve.at(-1)];
  const chosen =
    layer.rank === null || layer.action === 'kept'
      ? 'the layer is kept'
      : `${formatSmall(change)} at the chosen rank ${layer.rank}`;
  return renderer.draw(
    {
      grid: { left: 44, right: 20, top: 10, bottom: 22, outerBoundsMode: 'none' },
      xAxis: {
        type: 'value',
        ...AXIS_STYLE,
        min: 0,
        max: 1,
        interval: 0.5,
        splitLine: { show: false },
        axisLine: { show: true, onZero: false, lineStyle: { color: colour('line') } },
        axisLabel: { ...AXIS_STYLE.axisLabel, formatter: (share: number) => `${share * 100} %` },
      },
      yAxis: logAxis(decades, 3),
      series: [
        ...lines.map(({ scheme, points }) => ({
          ...still,
          type: 'line' as const,
          symbol: 'circle',
          symbolSize: 3,
          lineStyle: { color: colour(markOf(scheme).colour), width: 1.5, type: markOf(scheme).dashes },
          itemStyle: { color: colour(markOf(scheme).colour) },
          data: points.map(({ x, y }) => [x, y]),
        })),
        {
          ...still,
          type: 'scatter',
          symbol: 'circle',
          symbolSize: 10,
          itemStyle: { color: 'none', borderColor: colour('ink'), borderWidth: 2 },
          data: at === undefined ? [] : [[Math.min(1, after / Math.max(1, before)), at]],
        },
      ],
    },
    { width: WIDTH, height: HEIGHT },
    {
      title: `What the outputs feel of ${shownName(layer)}`,
      description: `From ${formatSmall(lowest?.change ?? 0)} at rank ${lowest?.rank ?? 0} to ${formatSmall(highest?.change ?? 0)} at rank ${highest?.rank ?? 0}; ${chosen}.`,
      items: [
        ...lines.map(({ scheme, points }) =>
          points.map(({ rank, change: own }) => `${scheme}, rank ${rank}: ${formatSmall(own)}`),
        ),
        [chosen],
      ],
    },
  );
}
