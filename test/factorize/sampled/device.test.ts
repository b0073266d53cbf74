import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adamRateTables } from '../../../src/autodiff/adam-step.js';
import { fittingSession } from '../../../src/factorize/fitting-session.js';
import { inits } from '../../../src/factorize/inits/index.js';
import { formOf } from '../../../src/factorize/sampled/activation-form.js';
import { fitPairBySampling } from '../../../src/factorize/sampled/fit-pair.js';
import { layerFeeds, sizesOf } from '../../../src/factorize/sampled/layer.js';
import { adam, buildFitLoop } from '../../../src/factorize/sampled/loop.js';
import { gaussianSource, type SampleSource } from '../../../src/factorize/sampled/source.js';
import { rateFactors } from '../../../src/factorize/sampled/settings.js';
import type { InitProblem } from '../../../src/factorize/types.js';
import type { FactorPair } from '../../../src/rewrite/types.js';
import type { Linalg } from '../../../src/linalg/types.js';
import { loadDriver } from '../../../src/runtime/driver.js';
import { isLoadable } from '../../../src/runtime/loader.js';
import { misplaced } from '../../../src/runtime/placement.js';
import type { Device, Driver, RuntimeTensor, Session } from '../../../src/runtime/types.js';
import { gaussian } from '../../linalg/support/matrices.js';
import { cases } from '../support/expectation.js';
import { testLinalg } from '../support/linalg.js';
import { freshWeight } from '../support/weights.js';
import { rowSource } from './support/row-source.js';

const hasCuda = await isLoadable('libcuda.so.1');
const devices: readonly Device[] = hasCuda ? ['cpu', 'cuda'] : ['cpu'];

const [steps, batch] = [12, 16];
let driver: Driver;
let linalg: Linalg;
beforeAll(async () => {
  driver = await loadDriver({ driver: 'c-api' });
  linalg = await testLinalg();
});
afterAll(() => linalg.close());

const problemOf = (activation: InitProblem['activation'], rowsPerNeuron = 1): InitProblem => ({
  ...{ weight: freshWeight(24, 20, 5), rank: 4, rowsPerNeuron, activation, seed: 1, linalg },
});

const givenSamples = (width: number): SampleSource =>
  rowSource(
    gaussian(200, width, 11),
    BigInt64Array.from({ length: steps * batch }, (_, i) => BigInt((i * 7) % 200)),
  );

/**
 * The operators that onnxruntime's CUDA provider has kernels for, of those that fits could be made of, in the types that they
 * have here: docs/OperatorKernels.md of microsoft/onnxruntime.
 */
const onCuda = new Set(
  'Abs Add And Cast Clip Div Erf Exp Gather Gemm Greater HardSigmoid HardSwish Identity LeakyRelu Less Loop Mul Neg'
    .split(' ')
    .concat('RandomNormal ReduceSum Relu Reshape Sigmoid Sqrt Sub Tanh Unsqueeze Where'.split(' ')),
);

describe.each(devices)('the loop of a sampled fit on %s', (device) => {
  const options = fittingSession({ device, threads: 1, recordPlacement: true });
  let session: Session;
  let start: FactorPair;
  let feeds: Record<string, RuntimeTensor>;
  beforeAll(async () => {
    const problem = problemOf({ kind: 'Relu' });
    start = await inits.baseline.fit(problem);
    const source = givenSamples(20);
    const plan = { sizes: sizesOf(problem), activation: formOf(problem.activation), source, steps, batch };
    session = await driver.createSession(buildFitLoop(plan), options);
    feeds = layerFeeds(problem, start);
    const rates = rateFactors({ steps, schedule: 'linear' }).map((factor) => 0.01 * factor);
    for (const [name, data] of Object.entries(adamRateTables(adam, rates))) {
      feeds[name] = { type: 'float32', dims: [steps], data };
    }
    for (const [name, tensor] of Object.entries(source.tensors)) feeds[`sample.${name}`] = tensor;
  });
  afterAll(async () => {
    await session.close();
  });

  it('gives the same bits from arrays and from tensors of the device', async () => {
    const expected = await session.run(feeds);
    const binding = session.bind();
    for (const [name, { type, dims, data }] of Object.entries(feeds)) {
      const tensor = session.allocate(type, dims);
      await tensor.write(data);
      binding.bindInput(name, tensor);
    }
    const results = session.outputs.map(({ name, dims }) => ({ name, tensor: session.allocate('float32', dims) }));
    for (const { name, tensor } of results) binding.bindOutput(name, tensor);
    await binding.run();
    for (const { name, tensor } of results) expect(await tensor.read(), name).toEqual(expected[name]!.data);
    expect(expected['fittedLeft']!.data).not.toEqual(start.left.data);
    binding.close();
  });

  it('has all steps in one run, and is told where every node of a step runs', () => {
    expect(session.outputs.map(({ name, dims }) => [name, dims])).toContainEqual(['losses', [steps]]);
    const operators = session.placement!.map(({ operator }) => operator);
    expect(operators.filter((operator) => operator === 'Loop')).toHaveLength(1);
    // Nodes of the body: two Gemms forward, the teacher's, and three backward.
    expect(operators.filter((operator) => operator === 'Gemm')).toHaveLength(6);
    expect(misplaced(session, device, 'the loop')).toBeUndefined();
    if (device === 'cpu') expect(misplaced(session, 'cuda', 'the loop')).toContain('Loop ×1');
  });

  it('a fit ends where it ends on the CPU, and warns of nothing', async () => {
    const problem = problemOf({ kind: 'SiLU' }, 3);
    const from = await inits.baseline.fit(problem);
    const settings = { steps, batch, learningRate: 0.01, schedule: 'cosine' } as const;
    const warnings: string[] = [];
    const onWarning = (message: string): void => void warnings.push(message);
    const fit = async (where: Device): Promise<FactorPair> => {
      const sampled = { settings, driver, source: givenSamples(60), session: { device: where, threads: 1 }, onWarning };
      return fitPairBySampling({ ...problem, sampled }, from, 0.01);
    };
    const [found, expected] = [await fit(device), await fit('cpu')];
    if (device === 'cpu') expect(found).toEqual(expected);
    // Steps are of the size of the rate; float32 sums in another order turn few of them by more than a thousandth.
    const largest = 1e-3 * settings.learningRate * steps;
    for (const side of ['left', 'right'] as const) {
      found[side].data.forEach((x, i) => expect(Math.abs(x - expected[side].data[i]!)).toBeLessThan(largest));
    }
    expect(warnings).toEqual([]);
  });
});

describe('the operators of a step', () => {
  it.each(cases)('all have a CUDA kernel: $name', async ({ activation }) => {
    for (const [rowsPerNeuron, source] of [
      [1, gaussianSource(0, 'x')],
      [3, givenSamples(60)],
    ] as const) {
      const sizes = sizesOf(problemOf(activation, rowsPerNeuron));
      const model = buildFitLoop({ sizes, activation: formOf(activation), source, steps, batch });
      const session = await driver.createSession(model, { recordPlacement: true });
      const operators = new Set(session.placement!.map(({ operator }) => operator));
      await session.close();
      expect([...operators].filter((operator) => !onCuda.has(operator))).toEqual([]);
      expect(operators).toContain('Gemm');
    }
  });
});

describe('sessions that fit', () => {
  it('multiply in full float32 on CUDA, and have no options of CUDA elsewhere', () => {
    expect(fittingSession({ device: 'cuda', threads: 3 })).toMatchObject({ threads: 3, cuda: { useTf32: false } });
    expect(fittingSession({ device: 'cpu' })).not.toHaveProperty('cuda');
    expect(fittingSession()).not.toHaveProperty('cuda');
  });
});

it.runIf(!hasCuda)('on CUDA: not run, no driver here', ({ skip }) => skip('libcuda.so.1 is not there'));
