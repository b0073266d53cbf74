import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKernel } from '../../src/factorize/activations/index.js';
import { errorsOf, functionRisk } from '../../src/factorize/function-error.js';
import type { Activation, FactorPair } from '../../src/rewrite/types.js';
import type { Linalg, Matrix } from '../../src/linalg/types.js';
import { cases } from './support/expectation.js';
import { testLinalg } from './support/linalg.js';
import { freshWeight, normals } from './support/weights.js';

let linalg: Linalg;
const pairErrors = async (...call: Parameters<typeof functionRisk>): Promise<ReturnType<typeof errorsOf>> =>
  errorsOf([await functionRisk(...call)]);
const functionError = async (...call: Parameters<typeof functionRisk>): Promise<number> =>
  (await pairErrors(...call)).functionError;
beforeAll(async () => {
  linalg = await testLinalg();
});
afterAll(() => linalg.close());

const scaledBy = (a: Matrix, factor: number): Matrix => ({ ...a, data: a.data.map((x) => x * factor) });

/** Mean and standard error of ‖σ(Ŵx) − σ(Wx)‖² over samples of x ~ N(0, I), neuron by neuron. */
function monteCarlo(weight: Matrix, product: Matrix, rowsPerNeuron: number, activation: Activation, samples: number) {
  const { value } = createKernel(activation);
  const size = rowsPerNeuron * weight.cols;
  const neurons = weight.rows / rowsPerNeuron;
  const x = normals(samples * size, 7, `samples ${activation.kind} ${rowsPerNeuron}`);
  let sum = 0;
  let squares = 0;
  for (let n = 0; n < samples; n++) {
    let loss = 0;
    for (let i = 0; i < neurons; i++) {
      let a = 0;
      let b = 0;
      for (let k = 0; k < size; k++) {
        a += weight.data[i * size + k]! * x[n * size + k]!;
        b += product.data[i * size + k]! * x[n * size + k]!;
      }
      loss += (value(b) - value(a)) ** 2;
    }
    sum += loss;
    squares += loss * loss;
  }
  const mean = sum / samples;
  return { mean, error: Math.sqrt((squares / samples - mean * mean) / samples) };
}

describe.each(cases)('$name', ({ activation }) => {
  it.each([1, 3])('agrees with Monte Carlo, %d rows per neuron', async (rowsPerNeuron) => {
    const weight = scaledBy(freshWeight(6, 5, 3), 2);
    const pair = { left: scaledBy(freshWeight(6, 2, 4), 1.5), right: freshWeight(2, 5, 5) };
    const problem = { weight, rowsPerNeuron, activation, linalg };
    const { risk } = await functionRisk(problem, pair);
    const product = await linalg.gemm(pair.left, pair.right);
    const { mean, error } = monteCarlo(weight, product, rowsPerNeuron, activation, 40_000);
    expect(error).toBeLessThan(0.03 * risk);
    expect(Math.abs(mean - risk)).toBeLessThan(3 * error);
  });

  it('is 0 for an exact pair, and grows with the distance', async () => {
    const weight = scaledBy(freshWeight(6, 4, 8), 3);
    const identity = { rows: 4, cols: 4, data: Float32Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? 1 : 0)) };
    const problem = { weight, rowsPerNeuron: 2, activation, linalg };
    expect(await functionError(problem, { left: weight, right: identity })).toBe(0);
    const errors = [];
    for (const factor of [1 + 2 ** -20, 1 + 2 ** -18, 1.01, 1.5]) {
      errors.push(await functionError(problem, { left: scaledBy(weight, factor), right: identity }));
    }
    expect(errors[0]).toBeGreaterThan(0);
    // Twice two bits more: four times the error, to the float32 rounding of 1 + 2⁻²⁰, a sixteenth of a bit a weight.
    expect(errors[1]! / errors[0]!).toBeGreaterThan(3.5);
    expect(errors[1]! / errors[0]!).toBeLessThan(4.5);
    expect(errors[2]).toBeGreaterThan(errors[1]!);
    expect(errors[3]).toBeGreaterThan(errors[2]!);
  });
});

describe('the function error', () => {
  const relu = { kind: 'Relu' } as const;
  const zero = (rows: number, cols: number): Matrix => ({ rows, cols, data: new Float32Array(rows * cols) });

  it('is the weight error of a linear layer', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 3 }),
        fc.nat(1000),
        async (neurons, cols, rowsPerNeuron, seed) => {
          const weight = freshWeight(neurons * rowsPerNeuron, cols, seed);
          const pair: FactorPair = {
            left: freshWeight(weight.rows, 1, seed + 1),
            right: freshWeight(1, cols, seed + 2),
          };
          const product = await linalg.gemm(pair.left, pair.right);
          let difference = 0;
          let norm = 0;
          weight.data.forEach((w, i) => {
            difference += (w - product.data[i]!) ** 2;
            norm += w * w;
          });
          const errors = await pairErrors({ weight, rowsPerNeuron, activation: { kind: 'linear' }, linalg }, pair);
          expect(errors.functionError).toBeCloseTo(Math.sqrt(difference / norm), 12);
          expect(errors.weightError).toBeCloseTo(Math.sqrt(difference / norm), 12);
        },
      ),
      { seed: 11, numRuns: 40 },
    );
  });

  it('takes zero rows and zero matrices', async () => {
    const nothing = { left: zero(4, 1), right: zero(1, 3) };
    const problem = { rowsPerNeuron: 2, activation: relu, linalg };
    expect(await functionError({ ...problem, weight: zero(4, 3) }, nothing)).toBe(0);
    const weight = freshWeight(4, 3, 1);
    expect(await functionError({ ...problem, weight }, nothing)).toBe(1);
    expect(
      await functionError(
        { ...problem, weight: zero(4, 3) },
        { left: freshWeight(4, 1, 2), right: freshWeight(1, 3, 2) },
      ),
    ).toBe(Infinity);
    // σ(0) = ½: the output of a zero layer is not zero, so the error is finite.
    const sigmoid = { rowsPerNeuron: 1, activation: { kind: 'Sigmoid' } as const, linalg };
    expect(await functionError({ ...sigmoid, weight: zero(4, 3) }, nothing)).toBe(0);
    weight.data.fill(0, 0, 3);
    const error = await functionError({ ...sigmoid, weight }, nothing);
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(1);
  });

  it('does not see how a pair is scaled between its factors', async () => {
    const weight = freshWeight(6, 5, 21);
    const pair = { left: freshWeight(6, 2, 22), right: freshWeight(2, 5, 23) };
    const problem = { weight, rowsPerNeuron: 1, activation: relu, linalg };
    const scaled = { left: scaledBy(pair.left, 8), right: scaledBy(pair.right, 1 / 8) };
    expect(await functionError(problem, scaled)).toBe(await functionError(problem, pair));
  });

  it('is the same block by block', async () => {
    // 3000 × 3000 is above the 8e6 elements that are formed at a time.
    const weight = freshWeight(3000, 3000, 31);
    const pair = { left: freshWeight(3000, 1, 32), right: freshWeight(1, 3000, 33) };
    const problem = { weight, rowsPerNeuron: 3, activation: relu, linalg };
    const whole = await functionRisk(problem, pair);
    let [risk, scale] = [0, 0];
    for (const half of [0, 1]) {
      const part = (a: Matrix): Matrix => ({
        rows: a.rows / 2,
        cols: a.cols,
        data: a.data.subarray((half * a.data.length) / 2, ((half + 1) * a.data.length) / 2),
      });
      const sums = await functionRisk(
        { ...problem, weight: part(weight) },
        { left: part(pair.left), right: pair.right },
      );
      risk += sums.risk;
      scale += sums.scale;
    }
    // Sums of 1000 float64 terms in another order.
    expect(Math.abs(whole.risk / risk - 1)).toBeLessThan(1e-12);
    expect(Math.abs(whole.scale / scale - 1)).toBeLessThan(1e-12);
  });
});
