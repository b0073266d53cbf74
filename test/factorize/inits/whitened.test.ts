import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataErrorOf, meanError } from '../../../src/factorize/calibration/data-error.js';
import { regularize } from '../../../src/factorize/calibration/regularize.js';
import type { LayerData, Moments } from '../../../src/factorize/calibration/types.js';
import { spectral } from '../../../src/factorize/inits/spectral.js';
import { reducedRank } from '../../../src/factorize/inits/support/reduced-rank.js';
import { whitened } from '../../../src/factorize/inits/whitened.js';
import type { InitProblem } from '../../../src/factorize/types.js';
import type { FactorPair } from '../../../src/rewrite/types.js';
import type { Linalg, Matrix } from '../../../src/linalg/types.js';
import { momentsOf, patches } from '../support/layer-data.js';
import { testLinalg } from '../support/linalg.js';
import { freshWeight } from '../support/weights.js';

let linalg: Linalg;
beforeAll(async () => {
  linalg = await testLinalg();
});
afterAll(() => linalg.close());

function problemOf(weight: Matrix, rank: number, moments: Moments, rowsPerNeuron = 1): InitProblem {
  const data: LayerData = { moments, hasBias: true };
  return { weight, rank, rowsPerNeuron, activation: { kind: 'Relu' }, seed: 1, linalg, data };
}

/** left · right in float64. */
function productOf({ left, right }: FactorPair): Float64Array {
  const result = new Float64Array(left.rows * right.cols);
  for (let i = 0; i < left.rows; i++) {
    for (let k = 0; k < left.cols; k++) {
      const scale = left.data[i * left.cols + k]!;
      for (let j = 0; j < right.cols; j++) result[i * right.cols + j]! += scale * right.data[k * right.cols + j]!;
    }
  }
  return result;
}

/** tr(Δ M Δᵀ), Δ with one row per neuron. */
function lossOf(weight: Matrix, product: ArrayLike<number>, second: Float64Array, size: number): number {
  let loss = 0;
  for (let start = 0; start < weight.data.length; start += size) {
    for (let i = 0; i < size; i++) {
      const a = weight.data[start + i]! - product[start + i]!;
      for (let j = 0; j < size; j++)
        loss += a * second[i * size + j]! * (weight.data[start + j]! - product[start + j]!);
    }
  }
  return loss;
}

/** S with M = SSᵀ, by columns (Cholesky). */
function rootOf(m: Float64Array, n: number): Float64Array {
  const s = new Float64Array(n * n);
  for (let j = 0; j < n; j++) {
    for (let i = j; i < n; i++) {
      let sum = m[i * n + j]!;
      for (let k = 0; k < j; k++) sum -= s[i * n + k]! * s[j * n + k]!;
      s[i * n + j] = i === j ? Math.sqrt(sum) : sum / s[j * n + j]!;
    }
  }
  return s;
}

/** Squared singular values, largest first, by one-sided Jacobi rotations of the rows. */
function jacobiSquares(a: Float64Array, rows: number, cols: number): number[] {
  const dot = (i: number, j: number): number => {
    let sum = 0;
    for (let k = 0; k < cols; k++) sum += a[i * cols + k]! * a[j * cols + k]!;
    return sum;
  };
  for (let sweep = 0; sweep < 60; sweep++) {
    let largest = 0;
    for (let i = 0; i < rows; i++) {
      for (let j = i + 1; j < rows; j++) {
        const [p, q, r] = [dot(i, i), dot(j, j), dot(i, j)];
        largest = Math.max(largest, Math.abs(r) / Math.sqrt(p * q || 1));
        if (r === 0) continue;
        const angle = 0.5 * Math.atan2(2 * r, p - q);
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        for (let k = 0; k < cols; k++) {
          const [x, y] = [a[i * cols + k]!, a[j * cols + k]!];
          a[i * cols + k] = c * x + s * y;
          a[j * cols + k] = c * y - s * x;
        }
      }
    }
    if (largest < 1e-14) break;
  }
  return Array.from({ length: rows }, (_, i) => dot(i, i)).sort((x, y) => y - x);
}

const identity = (n: number): Moments => {
  const data = new Float64Array(n * n);
  for (let i = 0; i < n; i++) data[i * (n + 1)] = 1;
  return { count: 1e9, mean: new Float64Array(n), second: { rows: n, cols: n, data } };
};

describe('whitened, one row per neuron', () => {
  it.each([
    [12, 9, 4],
    [6, 20, 2],
    [20, 6, 3],
  ])('%i × %i, rank %i: loses what the truncated SVD of WS loses', async (rows, cols, rank) => {
    const weight = freshWeight(rows, cols, 3);
    const moments = momentsOf(patches(400, cols, 5));
    const { second } = regularize(moments);
    const root = rootOf(second.data, cols);
    const ws = new Float64Array(rows * cols);
    for (let i = 0; i < rows; i++) {
      for (let k = 0; k < cols; k++) {
        for (let j = 0; j < cols; j++) ws[i * cols + j]! += weight.data[i * cols + k]! * root[k * cols + j]!;
      }
    }
    const squares = jacobiSquares(ws, rows, cols);
    const tail = squares.slice(rank).reduce((sum, value) => sum + value, 0);
    const pair = await whitened.fit(problemOf(weight, rank, moments));
    const loss = lossOf(weight, productOf(pair), second.data, cols);
    // The factors are rounded to float32: 1e-7 of each entry, whose square is far below the tail, crossed with it.
    expect(Math.abs(loss - tail) / tail).toBeLessThan(1e-5);
  });

  it('is the truncated SVD where inputs are white', async () => {
    const weight = freshWeight(10, 14, 2);
    const pair = await whitened.fit(problemOf(weight, 4, identity(14)));
    const plain = productOf(await spectral.fit(problemOf(weight, 4, identity(14))));
    // Both in float32; `spectral` by (1 + 1e-4) of the optimum.
    productOf(pair).forEach((value, i) => expect(value).toBeCloseTo(plain[i]!, 4));
  });

  it('reproduces the weight at full rank, whatever the inputs are', async () => {
    for (const [rows, cols] of [
      [8, 5],
      [5, 8],
    ] as const) {
      const weight = freshWeight(rows, cols, 4);
      const moments = momentsOf(patches(50, cols, 6, 1));
      const product = productOf(await whitened.fit(problemOf(weight, 5, moments)));
      product.forEach((value, i) => expect(value).toBeCloseTo(weight.data[i]!, 5));
    }
  });
});

describe('whitened', () => {
  it('never loses more on its inputs than the truncated SVD, singular moments and dead inputs included', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          neurons: fc.integer({ min: 1, max: 8 }),
          parts: fc.integer({ min: 1, max: 3 }),
          cols: fc.integer({ min: 1, max: 7 }),
          share: fc.double({ min: 0.05, max: 0.95, noNaN: true }),
          inputRank: fc.integer({ min: 0, max: 8 }),
          dead: fc.boolean(),
          seed: fc.nat(1000),
        }),
        async ({ neurons, parts, cols, share, inputRank, dead, seed }) => {
          const weight = freshWeight(neurons * parts, cols, seed);
          const size = parts * cols;
          const inputs = patches(30, size, seed, inputRank);
          if (dead) for (let row = 0; row < inputs.rows; row++) inputs.data[row * size] = 0;
          const moments = momentsOf(inputs);
          const limit = Math.min(weight.rows, cols);
          const rank = Math.max(1, Math.min(limit, Math.round(share * limit)));
          const problem = problemOf(weight, rank, moments, parts);
          const own = lossOf(weight, productOf(await whitened.fit(problem)), moments.second.data, size);
          const other = lossOf(weight, productOf(await spectral.fit(problem)), moments.second.data, size);
          const scale = lossOf(weight, new Float64Array(weight.data.length), moments.second.data, size);
          // float32 factors: 1e-7 of the layer's output in either, squared and crossed.
          expect(own).toBeLessThanOrEqual(other * (1 + 1e-5) + 1e-9 * scale);
        },
      ),
      { seed: 7, numRuns: 60 },
    );
  });

  it('has a left factor that nothing improves, in the spatial scheme', async () => {
    const [parts, cols, rank] = [3, 10, 4];
    const weight = freshWeight(8 * parts, cols, 9);
    const { second } = regularize(momentsOf(patches(300, parts * cols, 9)));
    const problem = problemOf(weight, rank, momentsOf(patches(300, parts * cols, 9)), parts);
    const pair = await reducedRank(problem, second);
    const loss = lossOf(weight, productOf(pair), second.data, parts * cols);
    const start = await spectral.fit(problem);
    expect(loss).toBeLessThan(0.9 * lossOf(weight, productOf(start), second.data, parts * cols));
    for (const at of [0, 17, 50, 95]) {
      for (const step of [1e-3, -1e-3]) {
        const data = pair.left.data.slice();
        data[at] = data[at]! + step;
        const moved = lossOf(weight, productOf({ ...pair, left: { ...pair.left, data } }), second.data, parts * cols);
        expect(moved).toBeGreaterThan(loss);
      }
    }
  });

  it('refuses to guess what the layer sees', async () => {
    const { data: _, ...blind } = problemOf(freshWeight(4, 4, 1), 2, identity(4));
    await expect(whitened.fit(blind)).rejects.toMatchObject({ code: 'USAGE' });
  });
});

describe('the error on real inputs', () => {
  it('is that of the definition, and a bias lowers it to the deviation from the mean', async () => {
    const [parts, cols] = [2, 5];
    const weight = freshWeight(4 * parts, cols, 3);
    const inputs = patches(60, parts * cols, 8);
    const moments = momentsOf(inputs);
    const layer = { weight, rowsPerNeuron: parts, linalg };
    const pair = await spectral.fit(problemOf(weight, 2, moments, parts));
    const shift = await meanError(layer, pair, moments);
    const product = productOf(pair);
    const size = parts * cols;
    let [error, shifted, scale] = [0, 0, 0];
    for (let row = 0; row < inputs.rows; row++) {
      for (let neuron = 0; neuron < 4; neuron++) {
        let [y, approximation] = [0, 0];
        for (let i = 0; i < size; i++) {
          const x = inputs.data[row * size + i]!;
          y += weight.data[neuron * size + i]! * x;
          approximation += product[neuron * size + i]! * x;
        }
        error += (y - approximation) ** 2;
        shifted += (y - approximation - shift[neuron]!) ** 2;
        scale += y * y;
      }
    }
    expect(await dataErrorOf(layer, pair, undefined, moments)).toBeCloseTo(Math.sqrt(error / scale), 6);
    expect(await dataErrorOf(layer, pair, shift, moments)).toBeCloseTo(Math.sqrt(shifted / scale), 6);
    expect(shifted).toBeLessThan(error);
  });

  it('is 0 where the layer sees nothing', async () => {
    const weight = freshWeight(4, 6, 3);
    const nothing = momentsOf({ rows: 5, cols: 6, data: new Float32Array(30) });
    const pair = await whitened.fit(problemOf(weight, 2, nothing));
    expect(await dataErrorOf({ weight, rowsPerNeuron: 1, linalg }, pair, undefined, nothing)).toBe(0);
    expect(pair.left.data.every(Number.isFinite)).toBe(true);
  });
});
