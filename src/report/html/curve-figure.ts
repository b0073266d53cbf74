import type { ChartRenderer } from './chart.js';
import { curveLegend, drawCurveChart, hasValues, type Curve, type CurveChart } from './curve-chart.js';
import type { Content, Markup } from './markup.js';
import { figure, legend } from './page.js';

/** Curves under their headline, with a legend; null where none has a value. */
export function curveFigure(renderer: ChartRenderer, chart: CurveChart, note: Content): Markup | null {
  const curves = chart.curves.filter(({ values }) => hasValues(values));
  if (curves.length === 0) return null;
  const shown = { ...chart, curves };
  const entries = curveLegend(shown);
  return figure(chart.title, note, [entries.length === 0 ? null : legend(entries), drawCurveChart(renderer, shown)]);
}

/** An axis of accuracies from a whole fifth to 1, so that small changes of a good model can be seen. */
export function accuracyAxis(curves: readonly Curve[]): Pick<CurveChart, 'min' | 'max' | 'interval'> {
  const values = curves.flatMap((curve) => curve.values.filter((value) => value !== null && Number.isFinite(value)));
  const fifths = Math.min(4, Math.floor(5 * Math.min(1, ...values.map(Number))));
  return { min: fifths / 5, max: 1, interval: [0.2, 0.2, 0.2, 0.1, 0.05][fifths] ?? 0.2 };
}

export function lossTick(loss: number): string {
  return String(Number(loss.toPrecision(4)));
}

export function percentTick(share: number): string {
  return `${Number((share * 100).toPrecision(3))} %`;
}
