import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scalarFunction } from '../../../src/factorize/activations/scalar.js';
import { lfaiData } from '../../../src/factorize/inits/lfai-data.js';
import { fitThrough, sampleLoss } from '../../../src/factorize/inits/support/fit-through.js';
import { whitened } from '../../../src/factorize/inits/whitened.js';
import { meanError } from '../../../src/factorize/calibration/data-error.js';
import type { InitProblem } from '../../../src/factorize/types.js';
import type { Activation } from '../../../src/rewrite/types.js';
import type { Linalg } from '../../../src/linalg/types.js';
import { layerData, patches, samplesOf } from '../support/layer-data.js';
import { testLinalg } from '../support/linalg.js';
import { freshWeight } from '../support/weights.js';

let linalg: Linalg;
beforeAll(async () => {
  linalg = await testLinalg();
});
afterAll(() => linalg.close());

const activations: readonly Activation[] = [
  { kind: 'linear' },
  { kind: 'Relu' },
  { kind: 'LeakyRelu', alpha: 0.1 },
  { kind: 'Clip', min: 0, max: 1 },
  { kind: 'SiLU' },
  { kind: 'HardSwish' },
  { kind: 'HardSigmoid', alpha: 0.2, beta: 0.5 },
  { kind: 'Sigmoid' },
  { kind: 'Tanh' },
  { kind: 'Gelu' },
];

function problemOf(neurons: number, parts: number, cols: number, rank: number, activation: Activation): InitProblem {
  const weight = freshWeight(neurons * parts, cols, 5);
  const data = layerData(weight, parts, patches(200, parts * cols, 5), activation);
  return { weight, rowsPerNeuron: parts, rank, activation, seed: 1, linalg, data };
}

describe.each(activations)('$kind', (activation) => {
  it('has the slope that differences show', () => {
    const { value, slope } = scalarFunction(activation);
    const h = 1e-5;
    // Away from every kink.
    for (const x of [-4.2, -2.6, -1.3, -0.4, 0.3, 0.7, 1.9, 3.4]) {
      // Central differences: h² of the third derivative, and 1e-16 / h of rounding.
      expect(slope(x)).toBeCloseTo((value(x + h) - value(x - h)) / (2 * h), 6);
    }
  });

  it('loses no more behind the activation than whitened does, in either scheme', async () => {
    for (const parts of [1, 3]) {
      const problem = problemOf(6, parts, 7, 3, activation);
      const { samples } = problem.data!.sequential!;
      const plain = await whitened.fit(problem);
      const shift = await meanError(problem, plain, problem.data!.moments);
      const reference = await sampleLoss(problem, samples, plain, shift);
      const fitted = await lfaiData.fit(problem);
      expect(fitted.loss).toBeLessThanOrEqual(reference);
      expect(await sampleLoss(problem, samples, fitted, fitted.shift)).toBeCloseTo(fitted.loss!, 6);
    }
  });
});

describe('fitting through an activation', () => {
  it('is the regression where the layer is linear', async () => {
    const problem = problemOf(5, 1, 8, 3, { kind: 'linear' });
    const samples = samplesOf(problem.weight, 1, patches(300, 8, 5), { kind: 'linear' });
    const start = await whitened.fit(problem);
    const fitted = await fitThrough(problem, samples, start, true);
    // Residuals of a regression with intercept are orthogonal to its features and have no mean.
    const { inputs, target } = samples;
    const residuals = new Float64Array(target.data.length);
    const features = await linalg.gemm(inputs, fitted.right, { transposeB: true });
    const outputs = await linalg.gemm(features, fitted.left, { transposeB: true });
    target.data.forEach((wanted, at) => {
      residuals[at] = wanted - 0.1 - outputs.data[at]! - fitted.shift![at % 5]!;
    });
    const energy = Math.sqrt(residuals.reduce((sum, x) => sum + x * x, 0) / 300);
    for (let neuron = 0; neuron < 5; neuron++) {
      let mean = 0;
      for (let row = 0; row < 300; row++) mean += residuals[row * 5 + neuron]! / 300;
      expect(Math.abs(mean)).toBeLessThan(1e-4 * energy);
    }
    const overlap = await linalg.gemm64(
      { rows: 300, cols: 5, data: residuals },
      { rows: 300, cols: 3, data: features.data },
      { transposeA: true },
    );
    const scale = Math.sqrt(features.data.reduce((sum, x) => sum + x * x, 0) / 900);
    // The penalty on the way from the start is 1e-4 of the features' energy.
    for (const value of overlap.data) expect(Math.abs(value) / (300 * energy * scale)).toBeLessThan(1e-2);
  });

  it('never gains less than nothing, and neurons that the scale erases keep their rows', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...activations), fc.nat(100), fc.boolean(), async (activation, seed, isDead) => {
        const weight = freshWeight(4, 6, seed);
        const inputs = patches(40, 6, seed, 3);
        const samples = samplesOf(weight, 1, inputs, activation, { scale: 1.7 });
        if (isDead) samples.scale[2] = 0;
        const problem = { ...problemOf(4, 1, 6, 2, activation), weight };
        const start = await whitened.fit({ ...problem, data: layerData(weight, 1, inputs, activation) });
        const before = await sampleLoss(problem, samples, start, undefined);
        const fitted = await fitThrough(problem, samples, start, true);
        expect(fitted.loss).toBeLessThanOrEqual(before * (1 + 1e-5) + 1e-6);
        if (isDead) expect([...fitted.left.data.subarray(4, 6)]).toEqual([...start.left.data.subarray(4, 6)]);
        expect(fitted.shift!.every(Number.isFinite)).toBe(true);
      }),
      { seed: 3, numRuns: 30 },
    );
  });
});
