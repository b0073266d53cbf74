import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compare as compareVectors, functionRisk } from '../../src/factorize/function-error.js';
import { lfai } from '../../src/factorize/inits/lfai.js';
import { spectral } from '../../src/factorize/inits/spectral.js';
import { rescalingGain, theoremBound } from '../../src/factorize/theorem-bound.js';
import type { InitProblem } from '../../src/factorize/types.js';
import type { Activation } from '../../src/rewrite/types.js';
import { symmetricEigen } from '../../src/linalg/dense/symmetric-eigen.js';
import type { Linalg, Matrix } from '../../src/linalg/types.js';
import { testLinalg } from './support/linalg.js';
import { fromRows, normals } from './support/weights.js';

let linalg: Linalg;
beforeAll(async () => {
  linalg = await testLinalg();
});
afterAll(() => linalg.close());

/** The arc-cosine kernel as ALGORITHMS A writes it; nothing in common with the code under test. */
function kappa(cosine: number): number {
  const rho = Math.min(1, Math.max(-1, cosine));
  return (Math.sqrt(1 - rho * rho) + (Math.PI - Math.acos(rho)) * rho) / Math.PI;
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

/** E(relu(y·x) − relu(w·x))², x ~ N(0, I). */
function risk(w: Float64Array, y: Float64Array): number {
  const [ww, yy] = [dot(w, w), dot(y, y)];
  const rho = dot(w, y) / Math.sqrt(ww * yy);
  return ww / 2 + yy / 2 - Math.sqrt(ww * yy) * kappa(rho);
}

/** Rows of a random matrix and their projections on its `rank` leading right singular vectors, in float64. */
function truncated(rows: number, cols: number, rank: number, seed: number): { w: Float64Array[]; y: Float64Array[] } {
  const all = normals(rows * cols, seed, 'weight');
  const w = Array.from({ length: rows }, (_, i) => all.slice(i * cols, (i + 1) * cols));
  const gram = new Float64Array(cols * cols);
  for (const row of w) for (let i = 0; i < cols * cols; i++) gram[i]! += row[Math.floor(i / cols)]! * row[i % cols]!;
  const { vectors } = symmetricEigen(gram, cols, rank);
  const y = w.map((row) => {
    const projected = new Float64Array(cols);
    for (let k = 0; k < rank; k++) {
      const q = vectors.subarray(k * cols, (k + 1) * cols);
      const share = dot(row, q);
      for (let i = 0; i < cols; i++) projected[i]! += share * q[i]!;
    }
    return projected;
  });
  return { w, y };
}

describe('the identity behind Theorem 3.5', () => {
  it('R(truncated SVD) − R(the same directions at their best norms) = ½ Σ c²(κ(ρ) − ρ)²', () => {
    const sizes = fc.record({ rows: fc.integer({ min: 2, max: 24 }), cols: fc.integer({ min: 2, max: 20 }) });
    fc.assert(
      fc.property(sizes, fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(1e6), ({ rows, cols }, share, seed) => {
        const most = Math.min(rows, cols);
        const rank = Math.max(1, Math.min(most - 1, Math.round(share * most)));
        const { w, y } = truncated(rows, cols, rank, seed);
        let gap = 0;
        let gain = 0;
        let size = 0;
        w.forEach((row, i) => {
          const own = y[i]!;
          const norm = Math.sqrt(dot(row, row));
          const rho = dot(row, own) / (norm * Math.sqrt(dot(own, own)));
          const factor = (norm * kappa(rho)) / Math.sqrt(dot(own, own));
          gap +=
            risk(row, own) -
            risk(
              row,
              own.map((value) => value * factor),
            );
          const { alpha, student } = compareVectors(row, own, 0, cols);
          gain += rescalingGain(alpha, student.chordSquared);
          size += norm * norm;
        });
        // The difference of two sums of order Σ|w|² is known to some 1e-16 of that; the gain to 1e-9 of itself.
        expect(Math.abs(gain - gap)).toBeLessThanOrEqual(1e-9 * gap + 1e-14 * size);
      }),
      { seed: 7, numRuns: 200 },
    );
  });
});

/** Random, or low-rank with noise, or with neurons that the leading directions miss altogether. */
function weightOf(kind: 'random' | 'low-rank' | 'orthogonal', rows: number, cols: number, seed: number): Matrix {
  const noise = normals(rows * cols, seed, 'noise');
  if (kind === 'random') return { rows, cols, data: Float32Array.from(noise) };
  const inner = kind === 'low-rank' ? 2 : Math.max(1, Math.floor(cols / 2));
  const [u, v] = [normals(rows * inner, seed, 'u'), normals(inner * cols, seed, 'v')];
  return fromRows(
    Array.from({ length: rows }, (_, i) =>
      Array.from({ length: cols }, (__, j) => {
        if (kind === 'orthogonal')
          return i % 2 === 0 ? (j < inner ? 4 * noise[i * cols + j]! : 0) : j < inner ? 0 : 0.1 * noise[i * cols + j]!;
        let sum = 0.05 * noise[i * cols + j]!;
        for (let k = 0; k < inner; k++) sum += u[i * inner + k]! * v[k * cols + j]!;
        return sum;
      }),
    ),
  );
}

describe('the bound on fitted layers', () => {
  const cases = fc.record({
    kind: fc.constantFrom('random' as const, 'low-rank' as const, 'orthogonal' as const),
    neurons: fc.integer({ min: 2, max: 20 }),
    rowsPerNeuron: fc.integer({ min: 1, max: 3 }),
    cols: fc.integer({ min: 2, max: 24 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    seed: fc.nat(1e6),
  });
  const problemOf = (
    { kind, neurons, rowsPerNeuron, cols, share, seed }: typeof cases extends fc.Arbitrary<infer T> ? T : never,
    activation: Activation,
  ): InitProblem => {
    const weight = weightOf(kind, neurons * rowsPerNeuron, cols, seed);
    const most = Math.min(weight.rows, cols);
    return { weight, rowsPerNeuron, rank: Math.max(1, Math.round(share * most)), activation, seed, linalg };
  };

  it('is at most what spectral loses more than lfai, whatever the ReLU layer', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (each) => {
        const problem = problemOf(each, { kind: 'Relu' });
        const pair = await spectral.fit(problem);
        const { bound, scale } = await theoremBound(problem, pair);
        const gap =
          (await functionRisk(problem, pair)).risk - (await functionRisk(problem, await lfai.fit(problem))).risk;
        // Pairs in float32: both risks are known to some 1e-7 of E‖σ(Wx)‖².
        expect(bound!).toBeGreaterThanOrEqual(0);
        expect(bound!).toBeLessThanOrEqual(gap + 1e-6 * scale);
      }),
      { seed: 11, numRuns: 60 },
    );
  });

  it('is there for ReLU alone, and linear layers have no gap', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (each) => {
        const problem = problemOf(each, { kind: 'linear' });
        const pair = await spectral.fit(problem);
        expect((await theoremBound(problem, pair)).bound).toBeNull();
        const [plain, fitted] = [
          await functionRisk(problem, pair),
          await functionRisk(problem, await lfai.fit(problem)),
        ];
        expect(plain.risk - fitted.risk).toBe(0);
      }),
      { seed: 12, numRuns: 20 },
    );
    const problem = problemOf(
      { kind: 'random', neurons: 4, rowsPerNeuron: 1, cols: 6, share: 0.3, seed: 1 },
      { kind: 'SiLU' },
    );
    const pair = await spectral.fit(problem);
    const { bound, scale } = await theoremBound(problem, pair);
    expect(bound).toBeNull();
    expect(scale).toBeCloseTo((await functionRisk(problem, pair)).scale, 12);
  });

  it('counts a neuron that is not kept at all: κ(0) = 1/π', () => {
    expect(rescalingGain(2, 2)).toBeCloseTo((0.5 * 4) / Math.PI ** 2, 12);
    expect(rescalingGain(2, 0)).toBe(0);
  });
});
