import { describe, expect, it } from 'vitest';
import { rateAt, suggest } from '../../src/train/lr-find.js';

/** A curve over the test's own rates. */
const curve = (loss: (logRate: number) => number) =>
  Array.from({ length: 100 }, (_, i) => {
    const lr = rateAt(i);
    return { lr, loss: 0, smoothed: loss(Math.log10(lr)) };
  });

describe('the learning-rate range test', () => {
  it('rises from 1e-6 to 1 by one factor', () => {
    expect(rateAt(0)).toBe(1e-6);
    expect(rateAt(99)).toBeCloseTo(1, 12);
    expect(rateAt(51) / rateAt(50)).toBeCloseTo(rateAt(11) / rateAt(10), 12);
  });

  it('finds where the loss falls fastest and where it is smallest', () => {
    // Falls as a logistic around 10^-3, explodes from 10^-1 on.
    const points = curve((x) => 2 - 1 / (1 + Math.exp(-4 * (x + 3))) + Math.max(0, x + 1));
    const { steepest, smallest, suggestion } = suggest(points);
    // The grid is 10^(6/99) = 1.15 apart.
    expect(Math.abs(Math.log10(steepest!) + 3)).toBeLessThan(0.061);
    expect(Math.abs(Math.log10(smallest) + 1)).toBeLessThan(0.061);
    expect(suggestion).toBe(smallest / 10);
  });

  it('says where the loss never falls', () => {
    expect(suggest(curve((x) => 3 + x / 10)).steepest).toBe(null);
  });
});
