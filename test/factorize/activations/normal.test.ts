import { describe, expect, it } from 'vitest';
import { erfc, normalCdf, normalProbability } from '../../../src/factorize/activations/normal.js';
import { gaussLegendre } from '../../../src/factorize/activations/quadrature.js';

describe('the normal distribution', () => {
  // Abramowitz and Stegun, tables 7.1 and 26.2; the far tail from the asymptotic series.
  it.each([
    [0.5, 0.4795001221869535],
    [1, 0.15729920705028513],
    [2, 0.004677734981047266],
    [3, 2.209049699858544e-5],
    [5, 1.5374597944280349e-12],
    [10, 2.088487583762545e-45],
    [26, 5.663192408856143e-296],
  ])('erfc(%f)', (x, wanted) => {
    // exp(−x²) loses x²·2⁻⁵² of its digits.
    expect(Math.abs(erfc(x) / wanted - 1)).toBeLessThan(4e-16 * (2 + x * x));
    expect(Math.abs(erfc(-x) - (2 - wanted))).toBeLessThan(5e-16);
  });

  it('has probabilities that add up, and keeps digits in the upper tail', () => {
    expect(normalCdf(0)).toBeCloseTo(0.5, 15);
    expect(normalCdf(Infinity)).toBe(1);
    expect(normalCdf(-Infinity)).toBe(0);
    expect(normalProbability(-1, 2) + normalProbability(2, 3)).toBeCloseTo(normalProbability(-1, 3), 15);
    // Φ(−8) − Φ(−9): a difference of upper distribution functions would be 1 − 1.
    expect(normalProbability(8, 9) / 6.219831985864e-16).toBeCloseTo(1, 12);
  });
});

describe('Gauss–Legendre', () => {
  it.each([1, 2, 5, 12, 40])('%d points are exact for degree 2n − 1', (n) => {
    const { nodes, weights } = gaussLegendre(n);
    for (let degree = 0; degree < 2 * n; degree++) {
      const sum = nodes.reduce((total, x, i) => total + weights[i]! * x ** degree, 0);
      expect(Math.abs(sum - 1 / (degree + 1))).toBeLessThan(1e-14);
    }
  });
});
