/** Means of few numbers, with Student's t intervals of 95 %. */
import type { Interval } from '../contracts/eval.js';

export interface MeanOf {
  readonly n: number;
  /** null where there are no numbers. */
  readonly mean: number | null;
  /** Divides by n − 1; null where n < 2. */
  readonly deviation: number | null;
  /** mean ± t(0.975, n − 1) · deviation / √n; null where n < 2. */
  readonly ci95: Interval | null;
}

export function meanOf(values: readonly number[]): MeanOf {
  const n = values.length;
  if (n === 0) return { n, mean: null, deviation: null, ci95: null };
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  if (n === 1) return { n, mean, deviation: null, ci95: null };
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const deviation = Math.sqrt(squares / (n - 1));
  const half = (studentQuantile(0.975, n - 1) * deviation) / Math.sqrt(n);
  return { n, mean, deviation, ci95: [mean - half, mean + half] };
}

/**
 * The value that Student's t with `freedom` ≥ 1 degrees of freedom stays below with probability `p`, 0.5 ≤ p < 1: bisection
 * of the distribution function, to the last digits of a number.
 */
export function studentQuantile(p: number, freedom: number): number {
  let low = 0;
  let high = 1;
  while (studentBelow(high, freedom) < p) high *= 2;
  for (let i = 0; i < 200 && high - low > Number.EPSILON * high; i++) {
    const middle = (low + high) / 2;
    if (studentBelow(middle, freedom) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/**
 * P(T ≤ t), t ≥ 0, for a whole number of degrees of freedom ν, with θ = atan(t/√ν) (Abramowitz and Stegun, 26.7.3 and 26.7.4):
 * P(|T| ≤ t) = (2/π)(θ + sin θ (cos θ + (2/3) cos³ θ + … + (2·4…(ν−3))/(3·5…(ν−2)) cos^(ν−2) θ)) for odd ν,
 * sin θ (1 + (1/2) cos² θ + … + (1·3…(ν−3))/(2·4…(ν−2)) cos^(ν−2) θ) for even ν.
 */
function studentBelow(t: number, freedom: number): number {
  const angle = Math.atan(t / Math.sqrt(freedom));
  const [sine, cosine] = [Math.sin(angle), Math.cos(angle)];
  const isOdd = freedom % 2 === 1;
  let term = isOdd ? cosine : 1;
  let sum = freedom === 1 ? 0 : term;
  for (let k = isOdd ? 3 : 2; k <= freedom - 2; k += 2) {
    term *= ((k - 1) / k) * cosine ** 2;
    sum += term;
  }
  const within = isOdd ? (2 / Math.PI) * (angle + sine * sum) : sine * sum;
  return (1 + within) / 2;
}
