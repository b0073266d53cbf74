import { describe, expect, it } from 'vitest';
import { functionRisk } from '../../../src/factorize/function-error.js';
import { inits } from '../../../src/factorize/inits/index.js';
import { reluSvd } from '../../../src/factorize/inits/relu-svd.js';
import { spectral } from '../../../src/factorize/inits/spectral.js';
import type { InitName, InitProblem } from '../../../src/factorize/types.js';
import { blockDiagonal, pairsExample } from '../support/examples.js';
import { fittingTests } from '../support/linalg.js';
import { diagonal, freshWeight } from '../support/weights.js';

const fitting = fittingTests();
const { problemOf } = fitting;

async function loss(name: InitName, problem: InitProblem): Promise<number> {
  return (await functionRisk(problem, await inits[name].fit(problem))).risk;
}

describe('relu-svd', () => {
  // ALGORITHMS E.4.
  it('takes the best set of singular directions, which is not the optimum', async () => {
    expect(await loss('relu-svd', problemOf(diagonal([1.001, 1]), 1))).toBeCloseTo(0.449339, 5);
    const eight = problemOf(diagonal(Array.from({ length: 8 }, (_, k) => 1 + k / 1000)), 2);
    expect(await loss('relu-svd', eight)).toBeCloseTo(2.7095, 4);
    const pairs = problemOf(pairsExample(), 1);
    expect(await loss('relu-svd', pairs)).toBeCloseTo(16.189, 3);
    expect(await loss('relu-svd', pairs)).toBeLessThan(await loss('spectral-scaled', pairs));
    expect(await loss('lfai', pairs)).toBeLessThan(await loss('relu-svd', pairs));
  });

  it('finds it by exchanges where the sets are too many to try', async () => {
    // Six blocks whose best direction is their second; C(126, 6) sets.
    const scales = [1, 1.02, 1.04, 1.06, 1.08, 1.1];
    const problem = problemOf(blockDiagonal(scales.map(pairsExample)), 6);
    const wanted = 16.189 * scales.reduce((sum, scale) => sum + scale * scale, 0);
    expect(Math.abs((await loss('relu-svd', problem)) / wanted - 1)).toBeLessThan(1e-4);
    expect(await loss('relu-svd', problem)).toBeLessThan(await loss('spectral-scaled', problem));
  });

  it.each([1, 3])('takes the leading directions of random weights, %d rows per neuron', async (rowsPerNeuron) => {
    const problem = problemOf(freshWeight(24, 8, 5), 3, rowsPerNeuron);
    const [ours, rescaled] = [await loss('relu-svd', problem), await loss('spectral-scaled', problem)];
    // All 60 random instances of E.4 did; float32 rounding.
    expect(Math.abs(ours / rescaled - 1)).toBeLessThan(1e-5);
  });

  it('is the truncated SVD of a linear layer', async () => {
    const problem = problemOf(freshWeight(10, 8, 5), 3, 1, { kind: 'linear' });
    const [ours, plain] = [await reluSvd.fit(problem), await spectral.fit(problem)];
    const [a, b] = [
      await fitting.linalg.gemm(ours.left, ours.right),
      await fitting.linalg.gemm(plain.left, plain.right),
    ];
    a.data.forEach((x, i) => expect(Math.abs(x - b.data[i]!)).toBeLessThan(1e-5));
  });

  it('gives the same pair every time, and stops when asked', async () => {
    const problem = problemOf(freshWeight(30, 25, 2), 6);
    expect(await reluSvd.fit(problem)).toEqual(await reluSvd.fit(problem));
    await expect(reluSvd.fit({ ...problem, signal: AbortSignal.abort() })).rejects.toThrow(/interrupted/);
  });
});
