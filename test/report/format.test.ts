import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatBytes,
  formatChange,
  formatCount,
  formatError,
  formatMilliseconds,
  formatPercent,
  formatRatio,
  formatSeconds,
  formatSmall,
} from '../../src/report/format.js';

describe('formatCount', () => {
  it.each([
    [0, '0'],
    [950, '950'],
    [999, '999'],
    [1000, '1.00 k'],
    [999_499, '999 k'],
    [999_500, '1.00 M'],
    [1_230_000, '1.23 M'],
    [25_557_032, '25.6 M'],
    [4_089_184_256, '4.09 G'],
    [-1500, '-1.50 k'],
    [1e21, '1000000 P'],
    [Infinity, 'Infinity'],
  ])('%d → %s', (count, text) => {
    expect(formatCount(count)).toBe(text);
  });

  it('is within half a unit of the third digit', () => {
    const units: Record<string, number> = { k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15 };
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e15 }), (count) => {
        const [digits, unit = ''] = formatCount(count).split(' ');
        // Three significant digits: a relative error of at most 1/2 in 100.
        expect(Math.abs(Number(digits) * (units[unit] ?? 1) - count)).toBeLessThanOrEqual(0.005 * count + 1e-9);
      }),
    );
  });
});

it('formats bytes, ratios, percentages and changes', () => {
  expect(formatBytes(44_861_733)).toBe('44.9 MB');
  expect(formatBytes(12)).toBe('12 B');
  expect(formatRatio(0.4379)).toBe('0.438x');
  expect(formatRatio(12.34)).toBe('12.3x');
  expect(formatPercent(0.4379)).toBe('43.8 %');
  expect(formatPercent(0)).toBe('0.0 %');
  expect(formatPercent(1e-6)).toBe('< 0.1 %');
  expect(formatPercent(12)).toBe('1200 %');
  const words = { less: 'fewer', more: 'more' };
  expect(formatChange(0.438, words)).toBe('56.2 % fewer');
  expect(formatChange(1.12, words)).toBe('12.0 % more');
  expect(formatChange(1, words)).toBe('unchanged');
});

it('formats errors of any magnitude', () => {
  expect([0, 4.13e-7, 0.0005, 0.2134, 3.41, 12_345, Number.NaN].map(formatError)).toEqual([
    '0',
    '4.1e-7',
    '0.001',
    '0.213',
    '3.410',
    '1.2e+4',
    'NaN',
  ]);
});

it('formats changes of outputs with two digits', () => {
  expect([0, 4.13e-7, 0.00129, 0.0296, 1.525, 25, 123, Number.NaN].map(formatSmall)).toEqual([
    '0',
    '4.1e-7',
    '0.0013',
    '0.03',
    '1.5',
    '25',
    '1.2e+2',
    'NaN',
  ]);
});

it('formats times', () => {
  expect([0.4321, 12.34, 59.94, 59.96, 245, 3599.6, 7620].map(formatSeconds)).toEqual([
    '0.43 s',
    '12.3 s',
    '59.9 s',
    '1 min 00 s',
    '4 min 05 s',
    '1 h 00 min',
    '2 h 07 min',
  ]);
  expect([0.4321, 21.44, 1234].map(formatMilliseconds)).toEqual(['0.43 ms', '21.4 ms', '1234 ms']);
});
