import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { functionRisk } from '../../../src/factorize/function-error.js';
import { spectralScaled } from '../../../src/factorize/inits/spectral-scaled.js';
import { spectral } from '../../../src/factorize/inits/spectral.js';
import type { Matrix } from '../../../src/linalg/types.js';
import { cases } from '../support/expectation.js';
import { fittingTests } from '../support/linalg.js';
import { diagonal, freshWeight } from '../support/weights.js';

const fitting = fittingTests();
const { problemOf } = fitting;

const kappa = (rho: number): number => (Math.sqrt(1 - rho * rho) + (Math.PI - Math.acos(rho)) * rho) / Math.PI;

/** |w|, |v| and ⟨w, v⟩/(|w||v|) of each neuron. */
function neurons(
  weight: Matrix,
  product: Matrix,
  rowsPerNeuron: number,
): { alpha: number; beta: number; rho: number }[] {
  const size = rowsPerNeuron * weight.cols;
  return Array.from({ length: weight.rows / rowsPerNeuron }, (_, i) => {
    const sum = (a: Float32Array, b: Float32Array): number =>
      a.subarray(i * size, (i + 1) * size).reduce((total, x, k) => total + x * b[i * size + k]!, 0);
    const alpha = Math.sqrt(sum(weight.data, weight.data));
    const beta = Math.sqrt(sum(product.data, product.data));
    return { alpha, beta, rho: Math.min(1, sum(weight.data, product.data) / (alpha * beta)) };
  });
}

describe('spectral', () => {
  it('is the truncated SVD, its factors balanced', async () => {
    const weight = freshWeight(12, 9, 1);
    const pair = await spectral.fit(problemOf(weight, 4));
    const { singularValues } = await fitting.linalg.truncatedSvd(weight, 4);
    const product = await fitting.linalg.gemm(pair.left, pair.right);
    const left = await fitting.linalg.gemm(pair.left, pair.left, { transposeA: true });
    const right = await fitting.linalg.gemm(pair.right, pair.right, { transposeB: true });
    let lost = 0;
    weight.data.forEach((w, i) => (lost += (w - product.data[i]!) ** 2));
    const all = await fitting.linalg.singularValues(weight);
    const tail = all.slice(4).reduce((sum, s) => sum + s * s, 0);
    // (1 + 1e-4)² is what Linalg promises.
    expect(lost).toBeLessThan(tail * (1 + 2e-4));
    for (let j = 0; j < 4; j++) {
      for (let k = 0; k < 4; k++) {
        // UᵀU = VVᵀ = Σ to float32 rounding of sums of 12 terms below σ₁.
        expect(Math.abs(left.data[4 * j + k]! - (j === k ? singularValues[j]! : 0))).toBeLessThan(
          1e-5 * singularValues[0]!,
        );
        expect(Math.abs(left.data[4 * j + k]! - right.data[4 * j + k]!)).toBeLessThan(1e-5 * singularValues[0]!);
      }
    }
  });

  it('refuses a rank that does not fit', async () => {
    await expect(spectral.fit(problemOf(freshWeight(4, 3, 1), 4))).rejects.toThrow(/rank 4/);
    await expect(spectral.fit(problemOf(freshWeight(4, 3, 1), 0))).rejects.toThrow(/rank 0/);
    await expect(spectral.fit(problemOf(freshWeight(4, 3, 1), 2, 3))).rejects.toThrow(/3 rows per neuron/);
  });
});

describe('spectral-scaled', () => {
  it.each([
    [1, 3],
    [1, 8],
    [3, 4],
    [3, 10],
  ])('has the losses of the closed forms (%d rows per neuron, rank %d)', async (rowsPerNeuron, rank) => {
    const weight = freshWeight(30, 40, 2);
    const problem = problemOf(weight, rank, rowsPerNeuron);
    const [plain, scaled] = [await spectral.fit(problem), await spectralScaled.fit(problem)];
    const rows = neurons(weight, await fitting.linalg.gemm(plain.left, plain.right), rowsPerNeuron);
    const [before, after] = [await functionRisk(problem, plain), await functionRisk(problem, scaled)];
    // ALGORITHMS F.2; float32 products err by 1e-7, of which first order stays.
    const rescaled = rows.reduce((sum, { alpha, rho }) => sum + 0.5 * alpha ** 2 * (1 - kappa(rho) ** 2), 0);
    const gain = rows.reduce((sum, { alpha, rho }) => sum + 0.5 * alpha ** 2 * (kappa(rho) - rho) ** 2, 0);
    expect(Math.abs(after.risk / rescaled - 1)).toBeLessThan(2e-6);
    expect(Math.abs((before.risk - after.risk) / gain - 1)).toBeLessThan(2e-5);
    const scaledRows = neurons(weight, await fitting.linalg.gemm(scaled.left, scaled.right), rowsPerNeuron);
    scaledRows.forEach(({ beta, alpha, rho }, i) => {
      expect(Math.abs(rho - rows[i]!.rho)).toBeLessThan(1e-6);
      expect(Math.abs(beta / (alpha * kappa(rho)) - 1)).toBeLessThan(1e-5);
    });
  });

  it('balances the columns', async () => {
    const { left, right } = await spectralScaled.fit(problemOf(freshWeight(30, 40, 2), 5));
    for (let k = 0; k < 5; k++) {
      let [u, v] = [0, 0];
      for (let i = 0; i < left.rows; i++) u += left.data[i * 5 + k]! ** 2;
      for (let j = 0; j < right.cols; j++) v += right.data[k * right.cols + j]! ** 2;
      expect(Math.abs(u / v - 1)).toBeLessThan(1e-5);
    }
  });

  it('gives a neuron orthogonal to the subspace a direction, of norm α/π for ReLU', async () => {
    const weight = diagonal([1.001, 1]);
    const problem = problemOf(weight, 1);
    const { left, right } = await spectralScaled.fit(problem);
    const rows = neurons(weight, await fitting.linalg.gemm(left, right), 1);
    expect(rows[0]!.beta).toBeCloseTo(1.001, 5);
    expect(rows[1]!.beta).toBeCloseTo(1 / Math.PI, 5);
    // ALGORITHMS E.4: what Algorithm 3 ends with; the truncated SVD has 0.5.
    expect((await functionRisk(problem, { left, right })).risk).toBeCloseTo(0.449339, 5);
    expect((await functionRisk(problem, await spectral.fit(problem))).risk).toBeCloseTo(0.5, 6);
  });

  it('never loses more than the truncated SVD, whatever the activation and the shape', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...cases),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 8 }),
        fc.constantFrom(1, 2, 3),
        fc.double({ min: 0.01, max: 10, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(1000),
        async ({ activation }, count, cols, rowsPerNeuron, scale, share, seed) => {
          const fresh = freshWeight(count * rowsPerNeuron, cols, seed);
          const weight = { ...fresh, data: fresh.data.map((x) => x * scale) };
          const most = Math.min(weight.rows, weight.cols);
          const problem = problemOf(weight, 1 + Math.floor(share * (most - 1)), rowsPerNeuron, activation);
          const before = await functionRisk(problem, await spectral.fit(problem));
          const after = await functionRisk(problem, await spectralScaled.fit(problem));
          expect(after.risk).toBeLessThanOrEqual(before.risk);
        },
      ),
      { seed: 5, numRuns: 150 },
    );
  });
});
