import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evbmf, evbThreshold } from '../../src/factorize/evbmf.js';
import { jacobiSingularValues } from '../linalg/support/jacobi.js';
import { gaussian } from '../linalg/support/matrices.js';

const seed = 11;

/**
 * The least variational free energy of one component, times 2, from the bound itself (JMLR 14 (2013), equation 12 with the
 * hyper-parameters at their optimum c_a² = a²/M + σ_a², c_b² = b²/L + σ_b²), by search: with u = Mσ_a²/a², v = Lσ_b²/b² and
 * the best ab it is M·log(1 + 1/u) + L·log(1 + 1/v) − γ²/(σ²(1+u)(1+v)). 0 is the energy of leaving the component out.
 */
function leastEnergy(square: number, variance: number, long: number, short: number): number {
  const energy = (u: number, v: number): number =>
    long * Math.log1p(1 / u) + short * Math.log1p(1 / v) - square / (variance * (1 + u) * (1 + v));
  let best = { u: 0, v: 0, value: Infinity };
  let [low, high] = [-14, 6];
  let centre = { u: -4, v: -4 };
  // A grid in the logarithms of u and v, four times finer around the best of the one before.
  for (let level = 0; level < 7; level++) {
    for (let i = 0; i <= 24; i++) {
      for (let j = 0; j <= 24; j++) {
        const u = centre.u + low + ((high - low) * i) / 24;
        const v = centre.v + low + ((high - low) * j) / 24;
        const value = energy(Math.exp(u), Math.exp(v));
        if (value < best.value) best = { u, v, value };
      }
    }
    centre = best;
    const width = (high - low) / 4;
    [low, high] = [-width / 2, width / 2];
  }
  return Math.min(0, best.value);
}

/** The free energy at a noise variance, times 2, up to constants. */
function freeEnergy(squares: readonly number[], variance: number, long: number, short: number): number {
  const total = squares.reduce((sum, square) => sum + square, 0);
  const noise = long * short * Math.log(variance) + total / variance;
  return squares.reduce((sum, square) => sum + leastEnergy(square, variance, long, short), noise);
}

describe(`empirical variational Bayesian matrix factorization (seed ${seed})`, () => {
  it('has its threshold where the free energies with and without a component are equal', () => {
    for (const [short, long] of [
      [5, 5],
      [4, 16],
      [8, 100],
    ] as const) {
      const threshold = evbThreshold(short / long);
      // The grid of the search is fine enough for energies of relative 1e-4.
      expect(leastEnergy(long * threshold * 0.99, 1, long, short)).toBe(0);
      expect(leastEnergy(long * threshold * 1.01, 1, long, short)).toBeLessThan(0);
    }
  });

  it('minimizes the free energy: no noise variance of a wide grid is better, and its rank is that of the minimum', () => {
    const sizes = fc.record({
      short: fc.integer({ min: 3, max: 7 }),
      extra: fc.integer({ min: 0, max: 10 }),
      strong: fc.array(fc.double({ min: 2, max: 60, noNaN: true }), { maxLength: 3 }),
      draw: fc.integer({ min: 0, max: 1e6 }),
    });
    fc.assert(
      fc.property(sizes, ({ short, extra, strong, draw }) => {
        const long = short + extra;
        const noise = jacobiSingularValues(gaussian(short, long, draw).data, short, long);
        const squares = [...noise].map((value, index) => (value + (strong[index] ?? 0)) ** 2).sort((a, b) => b - a);
        const { rank, noiseVariance } = evbmf(Float64Array.from(squares), short, long);
        const found = freeEnergy(squares, noiseVariance, long, short);
        const mean = squares.reduce((sum, square) => sum + square, 0) / (short * long);
        for (let step = 0; step <= 120; step++) {
          const other = freeEnergy(squares, mean * 10 ** (0.5 - (step * 4) / 120), long, short);
          // The search inside is good to about 1e-3 of an energy of about 1 per component.
          expect(other).toBeGreaterThan(found - 1e-2);
        }
        const signals = squares.filter((square) => leastEnergy(square, noiseVariance, long, short) < -1e-2).length;
        const weak = squares.filter((square) => leastEnergy(square, noiseVariance, long, short) < 0).length;
        expect(rank).toBeGreaterThanOrEqual(signals);
        expect(rank).toBeLessThanOrEqual(weak + 1);
      }),
      { seed, numRuns: 10 },
    );
  });

  it('recovers a planted rank and the variance of the noise, whichever side is longer', () => {
    const planted = fc.record({
      short: fc.integer({ min: 24, max: 48 }),
      extra: fc.integer({ min: 0, max: 60 }),
      rank: fc.integer({ min: 0, max: 6 }),
      deviation: fc.double({ min: 0.01, max: 10, noNaN: true }),
      draw: fc.integer({ min: 0, max: 1e6 }),
    });
    fc.assert(
      fc.property(planted, ({ short, extra, rank, deviation, draw }) => {
        const long = short + extra;
        const left = gaussian(short, rank, draw + 1);
        const right = gaussian(rank, long, draw + 2);
        const noise = gaussian(short, long, draw);
        // Each planted singular value is about 2·sqrt(L·M)·deviation: beyond the threshold, 1.6 of the largest of noise.
        const data = Float32Array.from(noise.data, (value, at) => {
          const [row, column] = [Math.floor(at / long), at % long];
          let signal = 0;
          for (let k = 0; k < rank; k++) signal += left.data[row * rank + k]! * right.data[k * long + column]!;
          return deviation * (value + 2 * signal);
        });
        const squares = Float64Array.from(jacobiSingularValues(data, short, long), (s) => s * s);
        const found = evbmf(squares, short, long);
        expect(evbmf(squares, long, short)).toEqual(found);
        expect(found.rank).toBe(rank);
        // An estimate from at least 18 · 24 elements: 6 standard errors of sqrt(2/432), and the bias of the threshold.
        expect(found.noiseVariance / deviation ** 2).toBeGreaterThan(0.6);
        expect(found.noiseVariance / deviation ** 2).toBeLessThan(1.5);
      }),
      { seed, numRuns: 40 },
    );
  });

  it('takes exact low rank for signal, and a matrix of zeros for nothing', () => {
    expect(evbmf(Float64Array.of(9, 4, 0, 0, 0, 0), 6, 8)).toMatchObject({ rank: 2 });
    expect(evbmf(new Float64Array(6), 6, 8)).toEqual({ rank: 0, noiseVariance: 0 });
    expect(evbmf(Float64Array.of(3), 1, 8).rank).toBeLessThanOrEqual(1);
  });
});
