import { describe, expect, it } from 'vitest';
import { meanOf, studentQuantile } from '../../src/report/student.js';

describe('studentQuantile', () => {
  // Table of the 97.5 % and 95 % points, to the digits that are printed everywhere.
  it.each([
    [0.975, 1, 12.7062],
    [0.975, 2, 4.3027],
    [0.975, 3, 3.1824],
    [0.975, 4, 2.7764],
    [0.975, 5, 2.5706],
    [0.975, 10, 2.2281],
    [0.975, 11, 2.201],
    [0.975, 30, 2.0423],
    [0.975, 100, 1.984],
    [0.95, 2, 2.92],
    [0.95, 7, 1.8946],
  ])('%d with %d degrees of freedom is %d', (p, freedom, expected) => {
    expect(studentQuantile(p, freedom)).toBeCloseTo(expected, 4);
  });

  it('has its closed forms', () => {
    // ν = 1: tan(π(p − 1/2)); ν = 2: (2p − 1)/√(2p(1 − p)). Bisection ends at the last digits.
    for (const p of [0.6, 0.9, 0.975, 0.999]) {
      expect(studentQuantile(p, 1) / Math.tan(Math.PI * (p - 0.5))).toBeCloseTo(1, 12);
      expect(studentQuantile(p, 2) / ((2 * p - 1) / Math.sqrt(2 * p * (1 - p)))).toBeCloseTo(1, 12);
    }
  });
});

describe('meanOf', () => {
  it('gives the interval that a hand computes', () => {
    // Mean 2, squares 1 + 0 + 1, deviation 1; 4.302653 · 1/√3 = 2.484138.
    const { n, mean, deviation, ci95 } = meanOf([1, 2, 3]);
    expect([n, mean, deviation]).toEqual([3, 2, 1]);
    expect(ci95![0]).toBeCloseTo(2 - 2.484138, 5);
    expect(ci95![1]).toBeCloseTo(2 + 2.484138, 5);
  });

  it('has no spread of one number, and nothing of none', () => {
    expect(meanOf([0.5])).toEqual({ n: 1, mean: 0.5, deviation: null, ci95: null });
    expect(meanOf([])).toEqual({ n: 0, mean: null, deviation: null, ci95: null });
  });
});
