import { changeUnitTexts } from '../agreement-text.js';
import type { TradeOff, TradeOffPoint } from '../../contracts/convert.js';
import { formatSmall, formatPercent } from '../format.js';
import { budgetText } from '../trade-off-table.js';
import { AXIS_STYLE, type ChartRenderer } from './chart.js';
import { type Decades, decadesOf, logAxis, onLogAxis } from './log-axis.js';
import { trusted, type Markup } from './markup.js';
import { legend } from './page.js';
import { colour } from './theme.js';

const LAYOUTS = [
  { width: 1080, height: 340, className: 'wide' },
  { width: 340, height: 280, className: 'narrow' },
] as const;

const axisNames: Readonly<Record<TradeOff['of'], string>> = {
  macs: 'budget of multiply-accumulates, as a fraction of the original',
  params: 'budget of parameters, as a fraction of the original',
  latency: 'budget of latency, as a fraction of the original',
};

export function tradeOffLegend({ points }: TradeOff): Markup {
  return legend([
    { shape: 'solid', colour: colour('after'), text: 'expected' },
    ...(points.some(({ measured }) => measured !== null)
      ? [{ shape: 'diamond', colour: colour('kept'), text: 'measured on images kept out' } as const]
      : []),
    ...(points.some(({ isChosen }) => isChosen)
      ? [{ shape: 'ring', colour: colour('ink'), text: 'chosen' } as const]
      : []),
  ]);
}

function decadesOfPoints(points: readonly TradeOffPoint[]): Decades | undefined {
  return decadesOf(points.flatMap(({ expected, measured }) => [expected, measured?.change ?? 0]));
}

function drawLayout(
  renderer: ChartRenderer,
  tradeOff: TradeOff,
  decades: Decades,
  layout: (typeof LAYOUTS)[number],
): Markup {
  const { points, of, unit } = tradeOff;
  const isWide = layout.className === 'wide';
  const budgets = points.map(({ budget }) => budget);
  const place = (budget: number, change: number): [number, number][] => {
    const at = onLogAxis(change, decades);
    return at === undefined ? [] : [[budget, at]];
  };
  const expected = points.filter((point) => onLogAxis(point.expected, decades) !== undefined);
  const measured = points.filter((point) => onLogAxis(point.measured?.change ?? 0, decades) !== undefined);
  const chosen = points.find(({ isChosen }) => isChosen);
  const { short, long } = changeUnitTexts[unit];
  const [first, last] = [points[0]!, points.at(-1)!];
  const still = { clip: false, emphasis: { disabled: true } } as const;
  return renderer.draw(
    {
      grid: { left: 58, right: 20, top: 14, bottom: 44, outerBoundsMode: 'none' },
      xAxis: {
        type: 'value',
        ...AXIS_STYLE,
        min: Math.floor(Math.min(...budgets) * 10 + 1e-9) / 10,
        max: Math.max(1, Math.ceil(Math.max(...budgets) * 10 - 1e-9) / 10),
        interval: isWide ? 0.1 : 0.2,
        name: isWide ? axisNames[of] : 'budget',
        nameLocation: 'middle',
        nameGap: 26,
        splitLine: { show: false },
        axisLine: { show: true, onZero: false, lineStyle: { color: colour('line') } },
        axisLabel: { ...AXIS_STYLE.axisLabel, formatter: (value: number) => String(Number(value.toFixed(3))) },
      },
      yAxis: {
        ...logAxis(decades, isWide ? 6 : 4),
        name: short,
        nameLocation: 'middle',
        nameGap: 44,
      },
      series: [
        {
          ...still,
          type: 'line',
          symbol: 'circle',
          symbolSize: 4,
          lineStyle: { color: colour('after'), width: 2 },
          itemStyle: { color: colour('after') },
          data: expected.flatMap((point) => place(point.budget, point.expected)),
        },
        {
          ...still,
          type: 'scatter',
          symbol: 'diamond',
          symbolSize: 12,
          itemStyle: { color: colour('kept'), borderColor: colour('page'), borderWidth: 1 },
          data: measured.flatMap((point) => place(point.budget, point.measured!.change)),
        },
        {
          ...still,
          type: 'scatter',
          symbol: 'circle',
          symbolSize: 14,
          itemStyle: { color: 'none', borderColor: colour('ink'), borderWidth: 2 },
          data: chosen === undefined ? [] : place(chosen.budget, chosen.expected),
        },
      ],
    },
    layout,
    {
      title: 'What each budget is expected to cost',
      description: `${long}: from ${formatSmall(first.expected)} at a budget of ${budgetText(first)} to ${formatSmall(last.expected)} at ${budgetText(last)}${chosen === undefined ? '' : `; ${formatSmall(chosen.expected)} at the chosen ${budgetText(chosen)}`}. The table below holds the numbers.`,
      items: [
        expected.map((point) => `budget ${budgetText(point)}: ${short} ${formatSmall(point.expected)} expected`),
        measured.map((point) => `budget ${budgetText(point)}: ${measuredText(point, short)}`),
        chosen === undefined ? [] : [`chosen: budget ${budgetText(chosen)}`],
      ],
    },
    layout.className,
  );
}

function measuredText({ measured }: TradeOffPoint, short: string): string {
  if (measured === null) return '';
  const same = measured.agreement === null ? '' : `, ${formatPercent(measured.agreement)} the same class`;
  return `${short} ${formatSmall(measured.change)} measured${same}`;
}

/** Expected and measured change of the outputs over the budget; null where no point has any. */
export function drawTradeOffChart(renderer: ChartRenderer, tradeOff: TradeOff): Markup | null {
  const decades = decadesOfPoints(tradeOff.points);
  if (decades === undefined) return null;
  return trusted(LAYOUTS.map((layout) => drawLayout(renderer, tradeOff, decades, layout).html).join(''));
}
