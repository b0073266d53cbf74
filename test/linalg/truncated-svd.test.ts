import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLinalg } from '../../src/linalg/linalg.js';
import type { Linalg, Matrix } from '../../src/linalg/types.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { failureOf } from '../support/errors.js';
import { jacobiSingularValues } from './support/jacobi.js';
import { gaussian, matrixOf, norm, orthonormalityError, residual, ternary, withSpectrum } from './support/matrices.js';

let linalg: Linalg;
beforeAll(async () => {
  linalg = await createLinalg({ driver: await loadDriver() });
});
afterAll(async () => {
  await linalg.close();
});

/** Σ beyond the rank of the oracle's singular values, as a norm. */
function optimum(singularValues: Float64Array, rank: number): number {
  return norm(singularValues.subarray(rank));
}

/**
 * The contract: ‖A − Â‖ ≤ (1 + 1e-4) · optimum, and 1e-6 · ‖A‖ for what float32 factors cannot hold; orthonormal to 1e-5,
 * float32's rounding of sums of n products with room; singular values that belong to what was returned.
 */
async function check(a: Matrix, rank: number, values: Float64Array): Promise<void> {
  const svd = await linalg.truncatedSvd(a, rank, { seed: 3 });
  expect(svd.left).toMatchObject({ rows: a.rows, cols: rank });
  expect(svd.right).toMatchObject({ rows: rank, cols: a.cols });
  expect(svd.singularValues.length).toBe(rank);
  const error = residual(a, svd);
  expect(error, `rank ${rank}`).toBeLessThanOrEqual((1 + 1e-4) * optimum(values, rank) + 1e-6 * norm(a.data));
  expect(orthonormalityError(svd.left, 'columns'), `left, rank ${rank}`).toBeLessThan(1e-5);
  expect(orthonormalityError(svd.right, 'rows'), `right, rank ${rank}`).toBeLessThan(1e-5);
  for (let k = 0; k < rank; k++) {
    if (k > 0) expect(svd.singularValues[k]!).toBeLessThanOrEqual(svd.singularValues[k - 1]!);
    // Interlacing: a Ritz value is never above the eigenvalue (and never much below, or the error above were larger).
    expect(svd.singularValues[k]!).toBeLessThanOrEqual(values[k]! + 1e-6 * values[0]!);
  }
}

const powers = (count: number, base: number): number[] => Array.from({ length: count }, (_, k) => base ** k);

describe('truncatedSvd of small matrices', () => {
  const cases: Record<string, Matrix> = {
    'one element': matrixOf(1, 1, () => -3),
    'a row': gaussian(1, 7, 1),
    'a column': gaussian(7, 1, 2),
    'two rows': gaussian(2, 50, 3),
    tall: gaussian(60, 17, 4),
    wide: gaussian(17, 60, 5),
    square: gaussian(40, 40, 6),
    ternary: ternary(48, 48, 7),
    'zero rows and columns': matrixOf(30, 40, (i, j) => (i % 3 === 0 || j % 4 === 1 ? 0 : Math.sin(i * 40 + j * j))),
    'rank 3': withSpectrum(30, 45, [1, 0.5, 0.25], 8),
    'rank 1 of ones': matrixOf(20, 33, () => 1),
    identity: matrixOf(25, 25, (i, j) => (i === j ? 1 : 0)),
    'falling over 12 decades': withSpectrum(50, 64, powers(50, 10 ** -0.25), 9),
    'falling over 30 decades': withSpectrum(40, 40, powers(40, 10 ** -0.75), 10),
    'one large direction': withSpectrum(40, 50, [1e4, ...powers(39, 0.98)], 11),
    'a cluster far below': withSpectrum(64, 64, [1, ...Array.from({ length: 63 }, () => 1e-7)], 12),
  };
  for (const [name, a] of Object.entries(cases)) {
    it(`${name}: every rank is optimal`, async () => {
      const values = jacobiSingularValues(a.data, a.rows, a.cols);
      const side = Math.min(a.rows, a.cols);
      const ranks = new Set([1, 2, 3, 5, Math.round(side / 4), Math.round(side / 2), side - 1, side]);
      for (const rank of ranks) if (rank >= 1 && rank <= side) await check(a, rank, values);
    });
  }

  it('of zero has zero singular values and orthonormal vectors', async () => {
    const a = matrixOf(12, 20, () => 0);
    for (const rank of [1, 5, 12]) await check(a, rank, new Float64Array(12));
    const { singularValues } = await linalg.truncatedSvd(a, 12);
    expect([...singularValues]).toEqual(Array.from({ length: 12 }, () => 0));
  });

  it.each([1e-30, 1e-18, 1e18])('does not care about the scale %f', async (scale) => {
    const a = gaussian(30, 50, 13);
    const scaled = { ...a, data: a.data.map((value) => value * scale) };
    const values = jacobiSingularValues(scaled.data, 30, 50);
    await check(scaled, 10, values);
    await check(scaled, 30, values);
  });
});

describe('truncatedSvd of large matrices', () => {
  // Beyond 272 rows a filter takes over, in one round or more, unless the spectrum or the rank forbids it.
  const cases: Record<string, [Matrix, readonly number[]]> = {
    'Gaussian, wide': [gaussian(290, 330, 21), [1, 10, 29, 73, 145, 217, 289]],
    'Gaussian, tall': [gaussian(600, 280, 22), [28, 70, 140, 280]],
    'ternary, square': [ternary(288, 288, 23), [29, 72, 144, 288]],
    'falling by a factor of 40 to the rank': [withSpectrum(300, 300, powers(300, 0.95), 24), [30, 75, 150]],
    'falling by 1e6 to the rank': [withSpectrum(280, 320, powers(280, 0.8), 25), [20, 60, 70, 140]],
    'a cliff after 50': [
      withSpectrum(280, 300, [...powers(50, 0.99), ...Array.from({ length: 230 }, () => 1e-4)], 26),
      [20, 49, 50, 51, 70],
    ],
    'exactly rank 40': [withSpectrum(300, 300, powers(40, 0.97), 27), [10, 39, 40, 41, 75]],
    'one huge direction': [withSpectrum(280, 280, [3e4, ...powers(279, 0.999)], 28), [1, 2, 70]],
    'identical blocks on the diagonal': [
      matrixOf(280, 280, (i, j) =>
        Math.floor(i / 28) === Math.floor(j / 28) ? Math.cos(((i % 28) + 1) * ((j % 28) + 3) ** 2) : 0,
      ),
      [28, 70, 100],
    ],
    'identity and a little': [matrixOf(280, 280, (i, j) => (i === j ? 1 : 1e-4 * Math.sin(i * 280 + j * j))), [28, 70]],
    'a third of the rows zero': [
      matrixOf(300, 310, (i, j) => (i % 3 === 0 ? 0 : Math.sin(i * i * 310 + j * j * 7))),
      [30, 75, 199, 200, 201],
    ],
  };
  for (const [name, [a, ranks]] of Object.entries(cases)) {
    it(`${name}: every rank is optimal`, async () => {
      const values = jacobiSingularValues(a.data, a.rows, a.cols);
      for (const rank of ranks) await check(a, rank, values);
    });
  }

  it('at full rank reproduces the matrix to float32', async () => {
    for (const a of [gaussian(300, 300, 31), ternary(500, 300, 32), gaussian(64, 576, 33)]) {
      const svd = await linalg.truncatedSvd(a, Math.min(a.rows, a.cols));
      expect(residual(a, svd)).toBeLessThan(1e-6 * norm(a.data));
    }
  });
});

describe('truncatedSvd', () => {
  it('gives the same bytes for the same seed, alone or beside others', async () => {
    const large = gaussian(320, 320, 41);
    const small = gaussian(100, 64, 42);
    const alone = [await linalg.truncatedSvd(large, 32, { seed: 5 }), await linalg.truncatedSvd(small, 9, { seed: 5 })];
    const beside = await Promise.all([
      linalg.truncatedSvd(large, 32, { seed: 5 }),
      linalg.truncatedSvd(small, 9, { seed: 5 }),
      linalg.truncatedSvd(large, 40, { seed: 6 }),
      linalg.singularValues(large),
    ]);
    expect(beside.slice(0, 2)).toEqual(alone);
    const other = await linalg.truncatedSvd(large, 32, { seed: 6 });
    expect(other.right.data).not.toEqual(alone[0]!.right.data);
  });

  it('is the same optimum in both drivers', async () => {
    const a = gaussian(280, 300, 43);
    const plain = await createLinalg({ driver: await loadDriver({ driver: 'javascript' }), threads: 1 });
    try {
      const values = jacobiSingularValues(a.data, a.rows, a.cols);
      const error = residual(a, await plain.truncatedSvd(a, 40, { seed: 3 }));
      expect(error).toBeLessThanOrEqual((1 + 1e-4) * optimum(values, 40));
      expect((await plain.singularValues(a))[0]!).toBeCloseTo(values[0]!, 5);
    } finally {
      await plain.close();
    }
  });

  it.each([Number.NaN, Infinity, -Infinity])('refuses %f and says where it is', async (value) => {
    const a = gaussian(30, 20, 44);
    a.data[7 * 20 + 3] = value;
    expect((await failureOf('NUMERIC', () => linalg.truncatedSvd(a, 4))).message).toContain('row 7, column 3');
    await failureOf('NUMERIC', () => linalg.singularValues(a));
  });

  it.each([0, 21, 1.5, Number.NaN])('refuses rank %f of a 30 × 20 matrix', async (rank) => {
    await failureOf('INTERNAL', () => linalg.truncatedSvd(gaussian(30, 20, 45), rank));
  });

  it('stops when the signal fires: before, while it waits, while a worker solves', async () => {
    const a = gaussian(700, 700, 46);
    await failureOf('ABORTED', () => linalg.truncatedSvd(a, 700, { signal: AbortSignal.abort() }));
    const controller = new AbortController();
    const { signal } = controller;
    const running = Array.from({ length: 6 }, () => linalg.truncatedSvd(a, 700, { signal }));
    const started = performance.now();
    setTimeout(() => {
      controller.abort();
    }, 150);
    const outcomes = await Promise.allSettled(running);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ABORTED' } });
    }
    // Six of them take seconds; what is left after the signal is at most one product.
    expect(performance.now() - started).toBeLessThan(1500);
    // And the next one works.
    await check(gaussian(40, 50, 47), 6, jacobiSingularValues(gaussian(40, 50, 47).data, 40, 50));
  });
});

describe('singularValues', () => {
  it('are those of Jacobi rotations to 1e-7 of the largest', async () => {
    const matrices = [
      matrixOf(1, 1, () => 2),
      gaussian(40, 90, 51),
      ternary(90, 60, 52),
      withSpectrum(80, 80, powers(80, 0.7), 53),
      gaussian(300, 280, 54),
    ];
    const all = await Promise.all(matrices.map((a) => linalg.singularValues(a)));
    for (const [index, a] of matrices.entries()) {
      const oracle = jacobiSingularValues(a.data, a.rows, a.cols);
      const values = all[index]!;
      expect(values.length).toBe(oracle.length);
      for (let k = 0; k < oracle.length; k++) {
        // Squared in the Gram matrix: √ε of the largest is what the smallest can be wrong by.
        expect(Math.abs(values[k]! - oracle[k]!)).toBeLessThan(1e-7 * oracle[0]!);
      }
    }
  });

  it('sum in squares to the norm, at any scale', async () => {
    for (const scale of [1e-30, 1, 1e25]) {
      const a = gaussian(50, 70, 55);
      const scaled = { ...a, data: a.data.map((value) => value * scale) };
      const values = await linalg.singularValues(scaled);
      expect(Math.abs(norm(values) / norm(scaled.data) - 1)).toBeLessThan(1e-13);
    }
  });
});

describe('gemm', () => {
  it('multiplies with and without transposition', async () => {
    const a = gaussian(5, 7, 61);
    const b = gaussian(7, 4, 62);
    const at = matrixOf(7, 5, (i, j) => a.data[j * 7 + i]!);
    const bt = matrixOf(4, 7, (i, j) => b.data[j * 4 + i]!);
    const expected = matrixOf(5, 4, (i, j) => {
      let sum = 0;
      for (let k = 0; k < 7; k++) sum += a.data[i * 7 + k]! * b.data[k * 4 + j]!;
      return sum;
    });
    const products = await Promise.all([
      linalg.gemm(a, b),
      linalg.gemm(at, b, { transposeA: true }),
      linalg.gemm(a, bt, { transposeB: true }),
      linalg.gemm(at, bt, { transposeA: true, transposeB: true }),
    ]);
    for (const product of products) {
      expect(product).toMatchObject({ rows: 5, cols: 4 });
      // Seven float32 products of size about one.
      for (const [i, value] of product.data.entries()) expect(Math.abs(value - expected.data[i]!)).toBeLessThan(1e-5);
    }
  });

  it('refuses factors that do not fit', async () => {
    const { message } = await failureOf('INTERNAL', () => linalg.gemm(gaussian(2, 3, 1), gaussian(4, 5, 1)));
    expect(message).toContain('[2, 3] × [4, 5]');
  });
});
