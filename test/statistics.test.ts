import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mcNemarExact, meanInterval, pairedDifferenceInterval, wilsonInterval } from '../src/statistics.js';

/** Both sides are a handful of float64 operations on numbers of at most 1. */
const ROUNDING = 1e-14;

/** Binomial probabilities of 0…n successes. */
function binomial(n: number, p: number): number[] {
  const probabilities = [1];
  for (let trial = 0; trial < n; trial++) {
    for (let k = trial + 1; k >= 0; k--) {
      probabilities[k] = (probabilities[k] ?? 0) * (1 - p) + (k > 0 ? probabilities[k - 1]! * p : 0);
    }
  }
  return probabilities;
}

describe('wilsonInterval', () => {
  // scipy 1.17.1: scipy.stats.binomtest(k, n).proportion_ci(method='wilson');
  // statsmodels 0.15.0, proportion_confint(k, n, 0.05, method='wilson'), agrees within 3e-16.
  it.each([
    [0, 10, 0, 0.27753279986288926],
    [10, 10, 0.7224672001371109, 1],
    [1, 3, 0.06149194472039626, 0.7923403991979523],
    [7, 10, 0.39677814746114526, 0.892208732593699],
    [81, 263, 0.2552885198782742, 0.36620957698280004],
    [762, 1000, 0.734634331029141, 0.787360447524428],
    [38125, 50000, 0.7587498712266264, 0.7662097965544475],
  ])('%d of %d', (successes, n, low, high) => {
    const interval = wilsonInterval(successes, n);
    expect(Math.abs(interval[0] - low)).toBeLessThan(ROUNDING);
    expect(Math.abs(interval[1] - high)).toBeLessThan(ROUNDING);
  });

  it('lies in [0, 1], holds the proportion, mirrors, and narrows with n', () => {
    const counts = fc
      .integer({ min: 1, max: 100_000 })
      .chain((n) => fc.tuple(fc.integer({ min: 0, max: n }), fc.constant(n)));
    fc.assert(
      fc.property(counts, ([k, n]) => {
        const [low, high] = wilsonInterval(k, n);
        expect(low).toBeGreaterThanOrEqual(0);
        expect(high).toBeLessThanOrEqual(1);
        expect(low).toBeLessThanOrEqual(k / n);
        expect(high).toBeGreaterThanOrEqual(k / n);
        const [mirroredLow, mirroredHigh] = wilsonInterval(n - k, n);
        expect(Math.abs(mirroredLow - (1 - high))).toBeLessThan(ROUNDING);
        expect(Math.abs(mirroredHigh - (1 - low))).toBeLessThan(ROUNDING);
        const [low4, high4] = wilsonInterval(4 * k, 4 * n);
        expect(high4 - low4).toBeLessThan(high - low);
      }),
      { seed: 4 },
    );
    expect(wilsonInterval(0, 0)).toEqual([0, 1]);
  });

  it('refuses counts that are none', () => {
    for (const [k, n] of [
      [2, 1],
      [-1, 3],
      [0.5, 3],
      [NaN, 3],
    ] as const) {
      expect(() => wilsonInterval(k, n)).toThrow(/do not fit/);
    }
  });
});

describe('pairedDifferenceInterval', () => {
  // Bonett and Price's formula in Python, p and q as fractions.Fraction, scipy.stats.norm.ppf(0.975) for z:
  // p, q = F(b+1, n+2), F(c+1, n+2); d = p - q; h = norm.ppf(.975) * sqrt((p + q - d*d) / (n+2)); d - h, d + h.
  it.each([
    [1, 7, 21, -0.5083593066664394, -0.013379823768343235],
    [0, 0, 10, -0.2309839707249463, 0.2309839707249463],
    [59, 86, 1600, -0.031664476173010235, -0.00204338899552909],
    [1900, 2400, 50000, -0.012569069133156925, -0.007430130898841795],
    [10, 0, 10, 0.5205795584958713, 1],
    [0, 0, 1, -0.9239358828997852, 0.9239358828997852],
  ])('%d and %d of %d', (onlyFirst, onlySecond, n, low, high) => {
    const interval = pairedDifferenceInterval(onlyFirst, onlySecond, n);
    expect(Math.abs(interval[0] - low)).toBeLessThan(ROUNDING);
    expect(Math.abs(interval[1] - high)).toBeLessThan(ROUNDING);
  });

  it('turns around when the models change places', () => {
    fc.assert(
      fc.property(fc.nat(500), fc.nat(500), fc.nat(500), (b, c, same) => {
        const [low, high] = pairedDifferenceInterval(b, c, b + c + same);
        const [otherLow, otherHigh] = pairedDifferenceInterval(c, b, b + c + same);
        expect(Math.abs(low + otherHigh)).toBeLessThan(ROUNDING);
        expect(Math.abs(high + otherLow)).toBeLessThan(ROUNDING);
        expect(low).toBeLessThan(high);
      }),
      { seed: 4 },
    );
  });

  // No simulation: the probabilities of all outcomes of 60 images are summed. The same sum with scipy.stats.binom.pmf is
  // 0.9482 for this interval, and 0.8337 for Wald's without the adjustment.
  it('covers the true difference in at least 94.8 % of all cases', () => {
    const n = 60;
    const smallest = Math.min(
      ...[0.01, 0.03, 0.1, 0.2, 0.4].flatMap((p) =>
        [0.01, 0.03, 0.1, 0.2, 0.4].map((q) => {
          let coverage = 0;
          const discordant = binomial(n, p + q);
          for (let d = 0; d <= n; d++) {
            const first = binomial(d, p / (p + q));
            for (let b = 0; b <= d; b++) {
              const [low, high] = pairedDifferenceInterval(b, d - b, n);
              if (low <= p - q && p - q <= high) coverage += discordant[d]! * first[b]!;
            }
          }
          return coverage;
        }),
      ),
    );
    expect(smallest).toBeCloseTo(0.9482061563, 9);
  });
});

describe('mcNemarExact', () => {
  // statsmodels 0.15.0: mcnemar([[10, b], [c, 3]], exact=True).pvalue, equal to scipy.stats.binomtest(b, b + c).pvalue.
  // The last two: 2 * sum(comb(n, k) for k <= min(b, c)) / 2**n in Python's whole numbers (and 1900, 2400 within 4e-14).
  it.each([
    [1, 7, 0.0703125],
    [7, 1, 0.0703125],
    [5, 5, 1],
    [0, 0, 1],
    [0, 20, 1.9073486328125e-6],
    [59, 86, 0.030481814649487685],
    [700, 800, 0.010559255466711506],
    [1900, 2400, 2.5741291259064932e-14],
    [25000, 25300, 0.18247378318673954],
  ])('%d against %d', (onlyFirst, onlySecond, expected) => {
    // A sum of up to 25,000 logarithms of at most ln(50,300) = 10.8, each rounded: 25,000 · 10.8 · 2⁻⁵³ = 3e-11 at worst.
    expect(Math.abs(mcNemarExact(onlyFirst, onlySecond) / expected - 1)).toBeLessThan(3e-11);
  });

  it('is the sum over the tail, for every pair of counts up to 30', () => {
    for (let b = 0; b <= 30; b++) {
      for (let c = 0; c <= 30; c++) {
        const tail = binomial(b + c, 0.5)
          .slice(0, Math.min(b, c) + 1)
          .reduce((sum, value) => sum + value, 0);
        expect(Math.abs(mcNemarExact(b, c) - Math.min(1, 2 * tail))).toBeLessThan(1e-12);
      }
    }
  });

  it('falls as one model pulls ahead', () => {
    for (let ahead = 1; ahead < 60; ahead++)
      expect(mcNemarExact(20 + ahead, 20)).toBeLessThanOrEqual(mcNemarExact(19 + ahead, 20));
  });
});

describe('meanInterval', () => {
  it('is the mean and 1.96 of its deviations', () => {
    // √(5/3) / √4 = 0.6454972243679028.
    const half = 1.959963984540054 * 0.6454972243679028;
    const [low, high] = meanInterval([1, 2, 3, 4]);
    expect(Math.abs(low - (2.5 - half))).toBeLessThan(ROUNDING);
    expect(Math.abs(high - (2.5 + half))).toBeLessThan(ROUNDING);
    expect(meanInterval([7, 7])).toEqual([7, 7]);
    expect(() => meanInterval([1])).toThrow('an interval of 1 numbers');
  });
});
