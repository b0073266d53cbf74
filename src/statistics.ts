/** Intervals and tests. All are of 95 % and two-sided. */
import { LowrankError } from './errors.js';

type Interval = readonly [low: number, high: number];

/** The 97.5 % quantile of the normal distribution. */
const Z = 1.959963984540054;

function checkCounts(counts: readonly number[], total: number): void {
  const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
  const sum = counts.reduce((whole, count) => whole + count, 0);
  if (counts.every(isCount) && (isCount(total) || total === Infinity) && sum <= total) return;
  throw new LowrankError('INTERNAL', `counts ${counts.join(', ')} do not fit into a total of ${total}`);
}

/**
 * Wilson's score interval of a proportion (E. B. Wilson, JASA 22 (1927) 209–212), p = successes / n:
 * (p + z²/2n ± z·sqrt(p(1−p)/n + z²/4n²)) / (1 + z²/n). [0, 1] where n is 0.
 */
export function wilsonInterval(successes: number, n: number): Interval {
  checkCounts([successes], n);
  if (n === 0) return [0, 1];
  const p = successes / n;
  const scale = 1 + Z ** 2 / n;
  const centre = (p + Z ** 2 / (2 * n)) / scale;
  const half = (Z * Math.sqrt((p * (1 - p)) / n + Z ** 2 / (4 * n ** 2))) / scale;
  // At 0 and n the ends are exactly 0 and 1; rounding would miss them.
  return [successes === 0 ? 0 : centre - half, successes === n ? 1 : centre + half];
}

/**
 * Interval of the difference of two proportions of the same n items: Wald's with Laplace's adjustment (D. G. Bonett and
 * R. M. Price, J. Educ. Behav. Stat. 37 (2012) 479–488). With b items that only the first has right and c that only the
 * second has, p₁₂ = (b+1)/(n+2), p₂₁ = (c+1)/(n+2):
 * p₁₂ − p₂₁ ± z·sqrt((p₁₂ + p₂₁ − (p₁₂ − p₂₁)²) / (n+2)), cut to [−1, 1].
 */
export function pairedDifferenceInterval(onlyFirst: number, onlySecond: number, n: number): Interval {
  checkCounts([onlyFirst, onlySecond], n);
  const first = (onlyFirst + 1) / (n + 2);
  const second = (onlySecond + 1) / (n + 2);
  const difference = first - second;
  const half = Z * Math.sqrt((first + second - difference ** 2) / (n + 2));
  return [Math.max(-1, difference - half), Math.min(1, difference + half)];
}

/**
 * Interval of the mean of independent numbers by the central limit theorem: mean ± z·s/√n, s² with n − 1. At least two
 * numbers.
 */
export function meanInterval(values: ArrayLike<number>): Interval {
  const n = values.length;
  if (n < 2) throw new LowrankError('INTERNAL', `an interval of ${n} numbers`);
  let sum = 0;
  for (let i = 0; i < n; i++) sum += values[i]!;
  const mean = sum / n;
  let squares = 0;
  for (let i = 0; i < n; i++) squares += (values[i]! - mean) ** 2;
  const half = Z * Math.sqrt(squares / (n - 1) / n);
  return [mean - half, mean + half];
}

/** The mean of independent numbers, and `meanInterval` cut to where it can lie. At least two numbers. */
export function meanOf(
  values: readonly number[],
  [least, most]: Interval,
): { readonly mean: number; readonly ci95: Interval } {
  const [low, high] = meanInterval(values);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, ci95: [Math.max(least, low), Math.min(most, high)] };
}

/**
 * McNemar's test without approximation: twice the probability of at most min(b, c) heads in b + c throws of a fair coin,
 * at most 1; b and c are the items that only the first or only the second has right. 1 where there are none.
 */
export function mcNemarExact(onlyFirst: number, onlySecond: number): number {
  checkCounts([onlyFirst, onlySecond], Infinity);
  const throws = onlyFirst + onlySecond;
  const most = Math.min(onlyFirst, onlySecond);
  // In logarithms: 2^-n is 0 in floating point from n = 1075 on.
  let logLargest = -throws * Math.LN2;
  for (let k = 1; k <= most; k++) logLargest += Math.log((throws - k + 1) / k);
  let sum = 1;
  let term = 1;
  for (let k = most; k >= 1 && term > sum * Number.EPSILON; k--) {
    term *= k / (throws - k + 1);
    sum += term;
  }
  return Math.min(1, 2 * Math.exp(logLargest) * sum);
}
