import type { PairedComparison } from '../../contracts/eval.js';
import { pointsIntervalText, pointsText } from '../eval-text.js';
import { AXIS_STYLE, LABEL_STYLE, roundUp, type ChartRenderer } from './chart.js';
import { trusted, type Markup } from './markup.js';
import { colour } from './theme.js';

const LAYOUTS = [
  { width: 1080, height: 104, className: 'wide' },
  { width: 340, height: 104, className: 'narrow' },
] as const;

function drawLayout(renderer: ChartRenderer, versus: PairedComparison, layout: (typeof LAYOUTS)[number]): Markup {
  const { difference, ci95 } = versus;
  const most = roundUp(100 * Math.max(Math.abs(ci95[0]), Math.abs(ci95[1]), 0.001));
  const line = { type: 'line', showSymbol: false, silent: true, clip: false, emphasis: { disabled: true } } as const;
  return renderer.draw(
    {
      grid: { left: 24, right: 24, top: 8, bottom: 46, outerBoundsMode: 'none' },
      xAxis: {
        type: 'value',
        ...AXIS_STYLE,
        min: -most,
        max: most,
        interval: most / 2,
        name: 'points of top-1; right of 0 this model is better',
        nameLocation: 'middle',
        nameGap: 26,
      },
      yAxis: { type: 'value', show: false, min: 0, max: 1 },
      series: [
        {
          ...line,
          lineStyle: { color: colour('ink'), width: 1.5, type: [4, 3] },
          data: [
            [0, 0],
            [0, 1],
          ],
        },
        {
          ...line,
          lineStyle: { color: colour('after'), width: 4 },
          data: [
            [100 * ci95[0], 0.35],
            [100 * ci95[1], 0.35],
          ],
        },
        {
          type: 'scatter',
          symbolSize: 13,
          clip: false,
          emphasis: { disabled: true },
          itemStyle: { color: colour('after') },
          label: {
            ...LABEL_STYLE,
            show: true,
            color: colour('ink'),
            position: 'top',
            formatter: `${pointsText(difference)} points`,
          },
          data: [[100 * difference, 0.35]],
        },
      ],
    },
    layout,
    {
      title: 'Difference of top-1 with its 95 % interval',
      description: `${pointsText(difference)} points, ${pointsIntervalText(ci95)}.`,
    },
    layout.className,
  );
}

/** The difference of two models as a point on its interval. */
export function drawDifferenceChart(renderer: ChartRenderer, versus: PairedComparison): Markup {
  return trusted(LAYOUTS.map((layout) => drawLayout(renderer, versus, layout).html).join(''));
}
