import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../support/random.js';
import { symmetricEigen, symmetricEigenvalues } from '../../../src/linalg/dense/symmetric-eigen.js';
import { jacobiSingularValues } from '../support/jacobi.js';

function symmetric(n: number, element: (i: number, j: number) => number): Float64Array {
  const a = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) a[i * n + j] = a[j * n + i] = element(i, j);
  return a;
}

function randomSymmetric(n: number, seed: number): Float64Array {
  const random = createRandom(seed);
  return symmetric(n, () => random.normal());
}

/** X Xᵀ for an n × rank Gaussian X. */
function gramOf(n: number, rank: number, seed: number): Float64Array {
  const random = createRandom(seed);
  const x = Array.from({ length: n * rank }, () => random.normal());
  return symmetric(n, (i, j) => {
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += x[i * rank + k]! * x[j * rank + k]!;
    return sum;
  });
}

/** Largest departures from A v = λ v and from orthonormality, relative to the largest eigenvalue. */
function check(a: Float64Array, n: number, count: number): { residual: number; orthonormality: number } {
  const { values, vectors } = symmetricEigen(a.slice(), n, count);
  const scale = Math.max(Math.abs(values[0]!), Math.abs(values[n - 1]!), Number.MIN_VALUE);
  let residual = 0;
  let orthonormality = 0;
  for (let k = 0; k < count; k++) {
    const v = vectors.subarray(k * n, (k + 1) * n);
    for (let i = 0; i < n; i++) {
      let sum = -values[k]! * v[i]!;
      for (let j = 0; j < n; j++) sum += a[i * n + j]! * v[j]!;
      residual = Math.max(residual, Math.abs(sum) / scale);
    }
    for (let other = 0; other <= k; other++) {
      let sum = other === k ? -1 : 0;
      for (let i = 0; i < n; i++) sum += v[i]! * vectors[other * n + i]!;
      orthonormality = Math.max(orthonormality, Math.abs(sum));
    }
  }
  expect(values.length).toBe(n);
  for (let k = 1; k < n; k++) expect(values[k]!).toBeLessThanOrEqual(values[k - 1]!);
  return { residual, orthonormality };
}

/** Backward error of Householder reduction and divide and conquer: a small multiple of n ε ‖A‖ in theory, √n in practice. */
const tolerance = (n: number): number => 20 * Math.max(8, n) * Number.EPSILON;

const matrices: Record<string, (n: number) => Float64Array> = {
  Gaussian: (n) => randomSymmetric(n, 1),
  'Gram matrix of full rank': (n) => gramOf(n, n, 2),
  'Gram matrix of rank 3': (n) => gramOf(n, 3, 3),
  zero: (n) => symmetric(n, () => 0),
  identity: (n) => symmetric(n, (i, j) => (i === j ? 1 : 0)),
  ones: (n) => symmetric(n, () => 1),
  // All off-diagonal entries of the tridiagonal form equal: no deflation.
  Laplacian: (n) => symmetric(n, (i, j) => (i === j ? 2 : i - j === 1 ? -1 : 0)),
  // Pairs of eigenvalues that agree to all digits.
  'Wilkinson W+': (n) => symmetric(n, (i, j) => (i === j ? Math.abs(i - (n - 1) / 2) : i - j === 1 ? 1 : 0)),
  'graded, large first': (n) => {
    const g = gramOf(n, n, 4);
    return symmetric(n, (i, j) => g[i * n + j]! * 10 ** (-(i + j) / 10));
  },
  'graded, small first': (n) => {
    const g = gramOf(n, n, 5);
    return symmetric(n, (i, j) => g[i * n + j]! * 10 ** ((i + j - 2 * n) / 10));
  },
  'blocks of five': (n) => symmetric(n, (i, j) => (Math.floor(i / 5) === Math.floor(j / 5) ? (i === j ? 2 : 1) : 0)),
  'near underflow': (n) => randomSymmetric(n, 6).map((value) => value * 1e-300),
  'near overflow': (n) => randomSymmetric(n, 7).map((value) => value * 1e300),
};

describe('symmetricEigen', () => {
  // 32 and 33: a leaf, and the smallest division; 70 and 150: two and three levels, none of them a multiple of 4.
  for (const [name, make] of Object.entries(matrices)) {
    it.each([1, 2, 3, 5, 32, 33, 70, 150])(`${name}, order %i: residuals and orthonormality`, (n) => {
      const { residual, orthonormality } = check(make(n), n, n);
      expect(residual).toBeLessThan(tolerance(n));
      expect(orthonormality).toBeLessThan(tolerance(n));
    });
  }

  it('gives only the leading vectors when asked', () => {
    const n = 90;
    const a = gramOf(n, n, 8);
    for (const count of [1, 2, 31, 64, 89]) {
      const { residual, orthonormality } = check(a, n, count);
      expect(residual).toBeLessThan(tolerance(n));
      expect(orthonormality).toBeLessThan(tolerance(n));
      expect(symmetricEigen(a, n, count).vectors.length).toBe(count * n);
    }
  });

  it('knows the eigenvalues of the Laplacian', () => {
    const n = 100;
    const { values } = symmetricEigen(matrices['Laplacian']!(n), n, n);
    for (let k = 0; k < n; k++) {
      expect(values[k]!).toBeCloseTo(2 - 2 * Math.cos(((n - k) * Math.PI) / (n + 1)), 13);
    }
  });

  it('agrees with Jacobi rotations, with and without vectors', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 2 ** 31 }), (n, seed) => {
        const a = randomSymmetric(n, seed);
        const oracle = jacobiSingularValues(a, n, n);
        for (const values of [symmetricEigen(a, n, n).values, symmetricEigenvalues(a, n)]) {
          const magnitudes = values.map(Math.abs).sort().reverse();
          for (let k = 0; k < n; k++) {
            expect(Math.abs(magnitudes[k]! - oracle[k]!)).toBeLessThanOrEqual(tolerance(n) * oracle[0]!);
          }
        }
      }),
      { seed: 20240601, numRuns: 60 },
    );
  });

  it('reads the lower triangle only', () => {
    const n = 40;
    const a = gramOf(n, n, 9);
    const lower = a.map((value, at) => (at % n > Math.floor(at / n) ? Number.NaN : value));
    expect(symmetricEigen(lower, n, n)).toEqual(symmetricEigen(a, n, n));
  });

  it('refuses what is not finite', () => {
    const a = gramOf(40, 40, 10);
    a[39 * 40 + 5] = Number.NaN;
    expect(() => symmetricEigen(a, 40, 40)).toThrowError(expect.objectContaining({ code: 'NUMERIC' }));
    a[39 * 40 + 5] = Infinity;
    expect(() => symmetricEigenvalues(a, 40)).toThrowError(expect.objectContaining({ code: 'NUMERIC' }));
  });
});
