import type * as tfjs from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { functionRisk } from '../../../src/factorize/function-error.js';
import { baseline } from '../../../src/factorize/inits/baseline.js';
import { spectral } from '../../../src/factorize/inits/spectral.js';
import { formOf } from '../../../src/factorize/sampled/activation-form.js';
import { fitPairBySampling, type SampledContext } from '../../../src/factorize/sampled/fit-pair.js';
import type { InitProblem } from '../../../src/factorize/types.js';
import type { FactorPair } from '../../../src/rewrite/types.js';
import type { SampleSource } from '../../../src/factorize/sampled/source.js';
import type { Linalg } from '../../../src/linalg/types.js';
import { loadTensorFlow, type TensorFlow } from '../../../src/runtime/tensorflow.js';
import { failureOf } from '../../support/errors.js';
import { gaussian } from '../../linalg/support/matrices.js';
import { cases } from '../support/expectation.js';
import { testLinalg } from '../support/linalg.js';
import { freshWeight } from '../support/weights.js';
import { rowSource } from './support/row-source.js';

let linalg: Linalg;
let tensorFlow: TensorFlow;
beforeAll(async () => {
  linalg = await testLinalg();
  tensorFlow = await loadTensorFlow();
});
afterAll(() => linalg.close());

const session = { threads: 1 };
const batch = 32;
const steps = 8;
const learningRate = 0.01;

function problemOf(rows: number, cols: number, rank: number, more: Partial<InitProblem> = {}): InitProblem {
  const fresh = freshWeight(rows, cols, 5);
  // Norms from 0.5 to 4: inputs on both sides of all kinks.
  const data = fresh.data.map((x, i) => x * (0.5 + 3.5 * (Math.floor(i / cols) / (rows - 1))));
  const weight = { ...fresh, data };
  return { weight, rank, rowsPerNeuron: 1, activation: { kind: 'Relu' }, seed: 1, linalg, ...more };
}

const fit = async (problem: InitProblem, start: FactorPair, context: SampledContext): Promise<FactorPair> =>
  fitPairBySampling({ ...problem, sampled: { session, ...context } }, start, 0.01);

/** Given samples, which both engines take in the same order; some of them twice. */
function givenSamples(width: number): SampleSource {
  const order = BigInt64Array.from({ length: steps * batch }, (_, i) => BigInt((i * 7) % 200));
  return rowSource(gaussian(200, width, 11), order);
}

/**
 * A step moves an entry by lr · m̂ / √v̂, whose size is at most about lr. Gradients are sums of some 10³ products: in float32
 * they agree to 1e-5 of their root mean square, and the quotient to 1e-3 wherever an entry's gradient is not below a
 * hundredth of that (where it is, its moments come from other steps).
 */
const stepTolerance = 1e-3 * learningRate * steps;

function expectEqual(one: FactorPair, other: FactorPair, start: FactorPair): void {
  for (const side of ['left', 'right'] as const) {
    let moved = 0;
    for (const [i, value] of one[side].data.entries()) {
      expect(Math.abs(value - other[side].data[i]!), `${side}, entry ${i}`).toBeLessThanOrEqual(stepTolerance);
      moved = Math.max(moved, Math.abs(value - start[side].data[i]!));
    }
    // What is compared is far from where it started.
    expect(moved).toBeGreaterThan(50 * stepTolerance);
  }
}

describe('a sampled fit in TensorFlow.js', () => {
  const settings = { steps, batch, learningRate, schedule: 'cosine' } as const;

  it.each(cases)('takes the steps that the loop takes on the same samples: $name', async ({ activation }) => {
    for (const rowsPerNeuron of [1, 3]) {
      const problem = problemOf(24, 20, 4, { activation, rowsPerNeuron });
      // Far from every optimum, where gradients would be differences of what cancels.
      const start = await baseline.fit(problem);
      const source = givenSamples(rowsPerNeuron * 20);
      const loop = await fit(problem, start, { settings, source });
      const before = tensorFlow.tf.memory().numTensors;
      expectEqual(loop, await fit(problem, start, { settings, source, tensorFlow }), start);
      expect(tensorFlow.tf.memory().numTensors).toBe(before);
    }
  });

  it("is what TensorFlow.js's own Adam does, and so is the loop", async () => {
    const { tf } = tensorFlow as unknown as { readonly tf: typeof tfjs };
    const problem = problemOf(24, 20, 4);
    const start = await spectral.fit(problem);
    const source = givenSamples(20);
    const left = tf.variable(tf.tensor2d(start.left.data, [24, 4]));
    const right = tf.variable(tf.tensor2d(start.right.data, [4, 20]));
    const teacher = tf.tensor2d(problem.weight.data, [24, 20]);
    const optimizer = tf.train.adam(learningRate, 0.9, 0.999, 1e-8);
    for (let step = 0; step < steps; step++) {
      optimizer.minimize(() => {
        const x = tf.tensor2d(source.draw(step, batch, 20), [batch, 20]);
        const wanted = tf.relu(tf.matMul(x, teacher, false, true));
        const outputs = tf.relu(tf.matMul(tf.matMul(x, right, false, true), left, false, true));
        return tf.div(tf.sum(tf.squaredDifference(outputs, wanted)), batch);
      });
    }
    const theirs = {
      left: { ...start.left, data: left.dataSync<'float32'>() },
      right: { ...start.right, data: right.dataSync<'float32'>() },
    };
    // Its corrections 1 − βᵗ, in float32, are off by 6e-5: 3e-5 of a step.
    const constant = { ...settings, schedule: 'constant' } as const;
    expectEqual(theirs, await fit(problem, start, { settings: constant, source }), start);
    expectEqual(theirs, await fit(problem, start, { settings: constant, source, tensorFlow }), start);
    tf.disposeVariables();
  });

  it('ends where the loop ends when each draws its own samples', { timeout: 120_000 }, async () => {
    const losses = async (engine: TensorFlow | undefined): Promise<number[]> => {
      const found: number[] = [];
      for (let seed = 1; seed <= 6; seed++) {
        const problem = problemOf(24, 32, 4, { seed });
        const pair = await fit(problem, await spectral.fit(problem), {
          settings: { steps: 150, batch: 64 },
          tensorFlow: engine,
        });
        const { risk, scale } = await functionRisk(problem, pair);
        found.push(risk / scale);
      }
      return found;
    };
    const problem = problemOf(24, 32, 4);
    const { risk, scale } = await functionRisk(problem, await spectral.fit(problem));
    const mean = (x: readonly number[]): number => x.reduce((sum, value) => sum + value, 0) / x.length;
    const variance = (x: readonly number[]): number => mean(x.map((value) => (value - mean(x)) ** 2)) * (6 / 5);
    const [ours, theirs] = [await losses(undefined), await losses(tensorFlow)];
    const deviation = Math.sqrt((variance(ours) + variance(theirs)) / 6);
    // Welch's statistic; |t| > 4 comes by chance once in 400 times with ten degrees of freedom.
    expect(Math.abs(mean(ours) - mean(theirs))).toBeLessThan(4 * deviation);
    // The gain over the start is far larger than what the comparison would miss.
    expect(risk / scale - mean(theirs)).toBeGreaterThan(10 * deviation);
  });

  it('is the same for the same seed and name, and another for another', async () => {
    const problem = problemOf(24, 20, 4);
    const start = await baseline.fit(problem);
    const context = { settings: { steps: 3, batch }, tensorFlow };
    const first = await fit(problem, start, context);
    expect(await fit(problem, start, context)).toEqual(first);
    expect(await fit({ ...problem, seed: 2 }, start, context)).not.toEqual(first);
    expect(await fit(problem, start, { ...context, name: 'other' })).not.toEqual(first);
  });

  it('keeps its start and says so where Adam leaves the finite numbers', async () => {
    const warnings: string[] = [];
    const problem = problemOf(24, 20, 4);
    const start = await spectral.fit(problem);
    const onWarning = (message: string): void => void warnings.push(message);
    const wild = { settings: { ...settings, learningRate: 1e30 }, tensorFlow, onWarning };
    expect(await fit(problem, start, wild)).toEqual(start);
    expect(warnings).toEqual([
      expect.stringMatching(/^Adam left the finite numbers at step \d+ of 8 .* is kept; lower --fit-lr$/),
    ]);
  });

  it('leaves an activation that its table lacks to the loop, and says so', async () => {
    const warnings: string[] = [];
    const problem = problemOf(24, 20, 4, { activation: { kind: 'linear' } });
    const start = await spectral.fit(problem);
    const onWarning = (message: string): void => void warnings.push(message);
    const form = {
      ...formOf({ kind: 'linear' }),
      name: 'Softsign',
      emit: (e, z) => e.emit('Softsign', [z]),
    } satisfies SampledContext['activation'];
    const source = givenSamples(20);
    const loop = await fit(problem, start, { settings, source, activation: form });
    expect(await fit(problem, start, { settings, source, activation: form, tensorFlow, onWarning })).toEqual(loop);
    expect(warnings).toEqual([
      'the activation Softsign is not in the table of the engine tfjs: onnxruntime fitted this layer',
    ]);
  });

  it('ends soon when it is interrupted, and leaves no tensor', async () => {
    const interruption = new AbortController();
    const problem = problemOf(24, 20, 4, { signal: interruption.signal });
    const start = await spectral.fit(problemOf(24, 20, 4));
    const before = tensorFlow.tf.memory().numTensors;
    setTimeout(() => interruption.abort(), 200);
    await failureOf('ABORTED', () => fit(problem, start, { settings: { steps: 1_000_000, batch }, tensorFlow }));
    expect(tensorFlow.tf.memory().numTensors).toBe(before);
  });
});
