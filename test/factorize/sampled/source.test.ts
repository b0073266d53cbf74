import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inits } from '../../../src/factorize/inits/index.js';
import { fitPairBySampling } from '../../../src/factorize/sampled/fit-pair.js';
import { rateFactors } from '../../../src/factorize/sampled/settings.js';
import type { InitProblem } from '../../../src/factorize/types.js';
import type { FactorPair } from '../../../src/rewrite/types.js';
import type { SampleSource } from '../../../src/factorize/sampled/source.js';
import type { Linalg, Matrix } from '../../../src/linalg/types.js';
import { testLinalg } from '../support/linalg.js';
import { freshWeight, normals } from '../support/weights.js';
import { rowSource } from './support/row-source.js';

let linalg: Linalg;
beforeAll(async () => {
  linalg = await testLinalg();
}, 60_000);
afterAll(() => linalg.close());

const [neurons, cols, rank, steps, batch] = [6, 10, 2, 12, 16] as const;
const weight = freshWeight(neurons, cols, 1);
const relu = (x: number): number => Math.max(0, x);

function problemOf(source: SampleSource, learningRate: number): InitProblem {
  const settings = { steps, batch, learningRate, schedule: 'linear' } as const;
  const sampled = { source, settings, session: { threads: 1 } };
  return { weight, rank, rowsPerNeuron: 1, activation: { kind: 'Relu' }, seed: 1, linalg, sampled };
}

/** The same steps by loops in float64. */
function byLoops(
  start: FactorPair,
  rows: Matrix,
  order: BigInt64Array,
  target: (row: number, neuron: number) => number,
  learningRate: number,
): { left: Float64Array; right: Float64Array } {
  const pair = { left: Float64Array.from(start.left.data), right: Float64Array.from(start.right.data) };
  const moments = [pair.left, pair.right].map((factor) => ({
    factor,
    gradient: new Float64Array(factor.length),
    m: new Float64Array(factor.length),
    v: new Float64Array(factor.length),
  }));
  const [left, right] = moments as [(typeof moments)[0], (typeof moments)[0]];
  const rates = rateFactors({ steps, schedule: 'linear' });
  for (let step = 0; step < steps; step++) {
    left.gradient.fill(0);
    right.gradient.fill(0);
    for (let n = 0; n < batch; n++) {
      const row = Number(order[step * batch + n]);
      const x = rows.data.subarray(row * cols, (row + 1) * cols);
      const h = Array.from({ length: rank }, (_, k) =>
        x.reduce((sum, value, j) => sum + value * right.factor[k * cols + j]!, 0),
      );
      for (let i = 0; i < neurons; i++) {
        const z = h.reduce((sum, value, k) => sum + value * left.factor[i * rank + k]!, 0);
        if (z <= 0) continue;
        const slope = (2 * (relu(z) - target(row, i))) / batch;
        for (let k = 0; k < rank; k++) {
          left.gradient[i * rank + k]! += slope * h[k]!;
          for (let j = 0; j < cols; j++) right.gradient[k * cols + j]! += slope * left.factor[i * rank + k]! * x[j]!;
        }
      }
    }
    for (const { factor, gradient, m, v } of moments) {
      for (let i = 0; i < factor.length; i++) {
        m[i] = 0.9 * m[i]! + 0.1 * gradient[i]!;
        v[i] = 0.999 * v[i]! + 0.001 * gradient[i]! ** 2;
        const first = m[i]! / (1 - 0.9 ** (step + 1));
        const second = v[i]! / (1 - 0.999 ** (step + 1));
        factor[i]! -= (learningRate * rates[step]! * first) / (Math.sqrt(second) + 1e-8);
      }
    }
  }
  return { left: left.factor, right: right.factor };
}

describe('the loop on rows of real inputs', () => {
  const rows: Matrix = { rows: 40, cols, data: Float32Array.from(normals(40 * cols, 2, 'rows')) };
  const order = BigInt64Array.from({ length: steps * batch }, (_, i) => BigInt((7 * i) % 40));
  const teacher = (row: number, neuron: number): number => {
    let z = 0;
    for (let j = 0; j < cols; j++) z += rows.data[row * cols + j]! * weight.data[neuron * cols + j]!;
    return relu(z);
  };

  it('takes the steps of Adam that loops take', async () => {
    const problem = problemOf(rowSource(rows, order), 0.01);
    const start = await inits.spectral.fit(problem);
    const copy = {
      left: { ...start.left, data: start.left.data.slice() },
      right: { ...start.right, data: start.right.data.slice() },
    };
    const fitted = await fitPairBySampling(problem, start, 1);
    const expected = byLoops(copy, rows, order, teacher, 0.01);
    // Twelve steps of at most 0.01 in float32; what divides by small second moments is off by more than one rounding.
    const difference = (a: Float32Array, b: Float64Array): number => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));
    expect(difference(fitted.left.data, expected.left)).toBeLessThan(1e-5);
    expect(difference(fitted.right.data, expected.right)).toBeLessThan(1e-5);
    expect(difference(copy.left.data, expected.left)).toBeGreaterThan(0.01);
  });
});
