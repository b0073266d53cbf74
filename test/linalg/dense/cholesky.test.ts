import { describe, expect, it } from 'vitest';
import { createRandom } from '../support/random.js';
import { inverseCholesky } from '../../../src/linalg/dense/cholesky.js';

/** D X Xᵀ D for an n × (n + 20) Gaussian X: condition number below about 1e3 once the scales are taken out. */
function positiveDefinite(n: number, seed: number, scaleOf: (i: number) => number): Float64Array {
  const random = createRandom(seed);
  const m = n + 20;
  const x = Float64Array.from({ length: n * m }, () => random.normal());
  const s = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < m; k++) sum += x[i * m + k]! * x[j * m + k]!;
      s[i * n + j] = s[j * n + i] = sum * scaleOf(i) * scaleOf(j);
    }
  }
  return s;
}

/** max |L⁻¹ S L⁻ᵀ − I| */
function departure(inverse: Float64Array, s: Float64Array, n: number): number {
  const half = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k <= i; k++) {
      const factor = inverse[i * n + k]!;
      for (let j = 0; j < n; j++) half[i * n + j] = half[i * n + j]! + factor * s[k * n + j]!;
    }
  }
  let worst = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum = i === j ? -1 : 0;
      for (let k = 0; k <= j; k++) sum += half[i * n + k]! * inverse[j * n + k]!;
      worst = Math.max(worst, Math.abs(sum));
    }
  }
  return worst;
}

describe('inverseCholesky', () => {
  // 64 is the block size.
  it.each([1, 2, 7, 63, 64, 65, 129, 200])('of order %i makes S the identity', (n) => {
    const s = positiveDefinite(n, n, () => 1);
    const inverse = inverseCholesky(s, n)!;
    // ε times the condition number, 1e3, and a little for growth.
    expect(departure(inverse, s, n)).toBeLessThan(1e-11);
    for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) expect(inverse[i * n + j]).toBe(0);
  });

  it('does not mind rows of very different length', () => {
    const n = 100;
    const s = positiveDefinite(n, 1, (i) => 10 ** ((i % 40) - 20));
    expect(departure(inverseCholesky(s, n)!, s, n)).toBeLessThan(1e-11);
  });

  it('says so where S is singular, indefinite or not finite', () => {
    const n = 70;
    const s = positiveDefinite(n, 2, () => 1);
    const twice = s.slice();
    for (let j = 0; j < n; j++) twice[69 * n + j] = twice[j * n + 69] = s[3 * n + j]!;
    twice[69 * n + 69] = s[3 * n + 3]!;
    expect(inverseCholesky(twice, n)).toBeUndefined();
    const indefinite = s.slice();
    indefinite[5 * n + 5] = -1;
    expect(inverseCholesky(indefinite, n)).toBeUndefined();
    const broken = s.slice();
    broken[65 * n + 5] = Number.NaN;
    expect(inverseCholesky(broken, n)).toBeUndefined();
    expect(inverseCholesky(new Float64Array(9), 3)).toBeUndefined();
  });
});
