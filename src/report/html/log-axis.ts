import { AXIS_STYLE } from './chart.js';

/** Powers of ten between which values lie. */
export interface Decades {
  /** Exponents. */
  readonly min: number;
  readonly max: number;
}

/** Further below the largest value nothing is shown. */
const mostDecades = 6;

/** Of the values above 0; undefined where there are none. */
export function decadesOf(values: readonly number[]): Decades | undefined {
  const exponents = values.filter((value) => value > 0 && Number.isFinite(value)).map(Math.log10);
  if (exponents.length === 0) return undefined;
  const max = Math.ceil(Math.max(...exponents) - 1e-9);
  const min = Math.max(max - mostDecades, Math.floor(Math.min(...exponents) + 1e-9));
  return { min: Math.min(min, max - 1), max };
}

/** Where a value lies on the axis; undefined below it. */
export function onLogAxis(value: number, { min }: Decades): number | undefined {
  const at = Math.log10(value);
  return Number.isFinite(at) && at >= min ? at : undefined;
}

function powerText(exponent: number): string {
  return exponent >= -3 ? String(Number(`1e${exponent}`)) : `1e${exponent}`;
}

/** An axis of logarithms, labelled with the numbers, with about so many lines. */
export function logAxis({ min, max }: Decades, lines: number) {
  const interval = Math.max(1, Math.ceil((max - min) / lines));
  return {
    type: 'value',
    ...AXIS_STYLE,
    min: max - interval * Math.ceil((max - min) / interval),
    max,
    interval,
    axisLabel: { ...AXIS_STYLE.axisLabel, formatter: powerText },
  } as const;
}
