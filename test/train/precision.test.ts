import { describe, expect, it } from 'vitest';
import { int } from '../../src/graph/attributes.js';
import { FLOAT, FLOAT16 } from '../../src/onnx/data-type.js';
import { inferShapes } from '../../src/ops/infer.js';
import { emulateHalf } from '../../src/passes/emulate-half.js';
import { runPasses } from '../../src/passes/runner.js';
import { loadDriver } from '../../src/runtime/driver.js';
import type { RuntimeTensor } from '../../src/runtime/types.js';
import { buildGradientGraph, type GradientGraph } from '../../src/step/gradient-graph.js';
import type { LossScale } from '../../src/step/loss-scale.js';
import { type Prepared, prepareTraining } from '../../src/step/prepare.js';
import type { RunMode } from '../../src/training/session.js';
import type { PrecisionName } from '../../src/contracts/train-settings.js';
import { defaultGraphSettings } from '../../src/step/settings.js';
import { type TargetName, targetOf } from '../../src/lower/target.js';
import { createTrainer, type MicroBatch, type Trainer } from '../../src/training/trainer.js';
import { buildUpdateGraph } from '../../src/step/update-graph.js';
import { initialState } from '../../src/step/vectors.js';
import { failureOf } from '../support/errors.js';
import { buildModel } from '../support/models.js';
import { tinyClassifier } from '../support/tiny-classifier.js';
import { hasGoldens, nets, readGolden } from './support/golden.js';

/** Largest relative error of one rounding. */
const roundoff = { float16: 2 ** -11, bfloat16: 2 ** -8 } as const;

/** What PyTorch's autocast is off, of the same models and batches (bench/support/autocast-gradients.py, torch 2.15 on CPU). */
const autocast: Readonly<Record<string, { readonly float16: number; readonly bfloat16: number }>> = {
  'convnet-bn': { float16: 6.829e-3, bfloat16: 3.572e-2 },
  'resnet20-lowrank': { float16: 0.1317, bfloat16: 0.3669 },
  mbconv: { float16: 1.668e-3, bfloat16: 1.452e-2 },
  frobenius: { float16: 1.73e-2, bfloat16: 5.902e-2 },
};

interface Case {
  readonly prepared: Prepared;
  readonly graph: GradientGraph;
  readonly images: Float32Array;
  readonly imagesShape: readonly number[];
  readonly labels: BigInt64Array;
}

const driver = await loadDriver();

async function goldenCase(name: string, precision: PrecisionName, target: TargetName = 'portable'): Promise<Case> {
  const golden = readGolden(name);
  const settings = { ...golden.settings, precision };
  const prepared = prepareTraining(golden.modelPath, { settings });
  const { build, passes } = await targetOf(target, driver);
  const emit = { batch: golden.labels.length, isBatchOpen: false, passes };
  return { ...golden, prepared, graph: buildGradientGraph(prepared, settings, emit, build) };
}

async function gradientOf({ prepared, graph, images, imagesShape, labels }: Case): Promise<Float32Array> {
  const { inputs, outputs } = graph.interface;
  const { parameters, statistics } = initialState(prepared, 0, false);
  const feeds: Record<string, RuntimeTensor> = {
    [inputs.parameters]: { type: 'float32', dims: [parameters.length], data: parameters },
    [inputs.statistics]: { type: 'float32', dims: [statistics.length], data: statistics },
    [inputs.images]: { type: 'float32', dims: imagesShape, data: images },
    [inputs.labels!]: { type: 'int64', dims: [labels.length], data: labels },
  };
  if (inputs.scale !== undefined) feeds[inputs.scale] = { type: 'float32', dims: [], data: Float32Array.of(1024) };
  const session = await (await loadDriver()).createSession(graph.bytes());
  const result = await session.run(feeds);
  await session.close();
  return result[outputs.gradient]!.data as Float32Array;
}

const norm = (x: Float32Array): number => Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
const relativeError = (actual: Float32Array, expected: Float32Array): number =>
  norm(actual.map((value, i) => value - expected[i]!)) / norm(expected);

const countOf = ({ graph }: Case, ...opTypes: string[]): number =>
  graph.model.graph.nodes.filter(({ opType }) => opTypes.includes(opType)).length;

describe.skipIf(!hasGoldens)('gradient graphs in half precision (models of ../shared/golden)', () => {
  for (const [name, target] of nets.flatMap((name) => [[name, 'portable'] as const, [name, 'cuda'] as const])) {
    const title = target === 'cuda' ? `${name}, for CUDA` : name;
    for (const precision of ['float16', 'bfloat16'] as const) {
      it(`${title} in ${precision}: its gradient is that of float32, up to roundings`, async () => {
        const expected = await gradientOf(await goldenCase(name, 'float32'));
        const rounded = await goldenCase(name, precision, target);
        const kinks = countOf(rounded, 'Relu', 'PRelu', 'MaxPool', 'HardSwish', 'Clip', 'LeakyRelu', 'HardSigmoid');
        const results = countOf(rounded, 'Conv', 'MatMul', 'Gemm', 'ConvTranspose', 'Cast', 'Mul', 'Add');
        runPasses(rounded.graph.model, [emulateHalf]);
        const error = relativeError(await gradientOf(rounded), expected);
        const u = roundoff[precision];
        // Independent roundings add up as their root. At a kink an activation that is as near to 0 as its own error takes
        // the other slope: of normal activations a share of 2 · 0.4 · (their error), u √(3 results a layer, all layers
        // before); what a share p of a layer's gradients does is √p, again as a root over layers.
        const flipped = 2 * 0.4 * u * Math.sqrt(3 * kinks);
        const tolerance = u * Math.sqrt(results) + Math.sqrt(kinks * flipped);
        process.stdout.write(
          `${name} ${precision}: relative error ${error.toExponential(1)}, tolerance ${tolerance.toExponential(1)}\n`,
        );
        expect(error).toBeGreaterThan(u / 10);
        expect(error).toBeLessThan(tolerance);
        // The same operators in the same types: only the order of roundings differs, which of the kinks flip hardly does.
        // For CUDA normalized values, not only their results, are rounded, which may add as much again.
        const ratio = autocast[name] === undefined ? 1 : error / autocast[name][precision];
        if (target === 'portable') expect(ratio).toBeCloseTo(1, 1);
        else expect(ratio).toBeLessThan(2);
      });
    }

    it(`${title}: without the roundings it is the gradient of float32`, async () => {
      const expected = await gradientOf(await goldenCase(name, 'float32'));
      const exact = await goldenCase(name, 'float16', target);
      runPasses(exact.graph.model, [emulateHalf]);
      for (const node of exact.graph.model.graph.nodes) {
        if (node.is('Cast') && node.int('to') === FLOAT16) node.setAttribute('to', int(FLOAT));
      }
      // Constants (the 1/9 of a mean) are still rounded.
      expect(relativeError(await gradientOf(exact), expected)).toBeLessThan(roundoff.float16);
    });

    it(`${title}: onnxruntime runs the float16 graph`, async () => {
      const expected = await gradientOf(await goldenCase(name, 'float32'));
      expect(relativeError(await gradientOf(await goldenCase(name, 'float16', target)), expected)).toBeLessThan(
        target === 'cuda' ? 0.1 : 0.05,
      );
    });
  }

  it('every convolution and product is half, every weight is cast once', async () => {
    const { graph } = await goldenCase('convnet-bn', 'float16');
    const shapes = inferShapes(graph.model);
    const { nodes } = graph.model.graph;
    for (const node of nodes.filter(({ opType }) => ['Conv', 'MatMul', 'Gemm'].includes(opType))) {
      for (const value of [...node.inputs, ...node.outputs]) expect(shapes.require(value!).dataType).toBe(FLOAT16);
    }
    for (const node of nodes.filter(({ opType }) =>
      ['ReduceMean', 'LogSoftmax', 'BatchNormalization'].includes(opType),
    )) {
      expect(shapes.require(node.inputs[0]!).dataType).toBe(FLOAT);
    }
    const sources = nodes.filter((node) => node.is('Cast')).map((node) => `${node.inputs[0]!.name} ${node.int('to')}`);
    expect(new Set(sources).size).toBe(sources.length);
    for (const value of [...graph.model.graph.inputs, ...graph.model.graph.outputs]) {
      expect([FLOAT, 7]).toContain(shapes.require(value).dataType);
    }
  });
});

const batch = 12;
const size = 3 * 16 * 16;

/** Stripes of three kinds, on something like noise: the same in every run. */
function tinyBatch(step: number): MicroBatch {
  const labels = BigInt64Array.from({ length: batch }, (_, i) => BigInt(i % 3));
  const images = Float32Array.from({ length: batch * size }, (_, at) => {
    const [image, pixel] = [Math.floor(at / size), at % size];
    const [row, column] = [Math.floor(pixel / 16) % 16, pixel % 16];
    const along = [row, column, row + column][image % 3]!;
    return Math.sin(along * 1.3 + step + image) + Math.sin(at * 12.9898 + step * 78.233) * 0.5;
  });
  return { images, labels };
}

async function withTrainer<T>(
  precision: PrecisionName,
  use: (trainer: Trainer) => Promise<T>,
  lossScale?: LossScale,
  mode: RunMode = {},
): Promise<T> {
  const settings = { ...defaultGraphSettings, precision };
  const prepared = prepareTraining(tinyClassifier(), { settings });
  const gradient = buildGradientGraph(prepared, settings, { batch, isBatchOpen: false });
  if (precision !== 'float32') runPasses(gradient.model, [emulateHalf]);
  const update = buildUpdateGraph(prepared, settings);
  const trainer = await createTrainer({
    driver: await loadDriver(),
    gradient,
    update,
    state: initialState(prepared, update.stateLength, true),
    batch,
    session: { threads: 1 },
    lossScale,
    averageDecay: 0.5,
    ...mode,
  });
  try {
    return await use(trainer);
  } finally {
    await trainer.close();
  }
}

async function losses(precision: PrecisionName): Promise<number[]> {
  return withTrainer(precision, async (trainer) => {
    const seen: number[] = [];
    while (trainer.step < 30) {
      const before = trainer.step;
      const { loss } = (await trainer.accumulate(tinyBatch(before)))!;
      await trainer.update(0.05);
      if (trainer.step > before) seen.push(loss);
    }
    return seen;
  });
}

describe('training in half precision', () => {
  it('follows the losses of float32 over 30 updates', async () => {
    const [expected, float16, bfloat16] = [await losses('float32'), await losses('float16'), await losses('bfloat16')];
    expect(expected[29]).toBeLessThan(expected[0]! / 2);
    const largest = (other: readonly number[]): number =>
      Math.max(...other.map((loss, step) => Math.abs(loss - expected[step]!)));
    process.stdout.write(`largest difference: float16 ${largest(float16)}, bfloat16 ${largest(bfloat16)}\n`);
    // The error of a gradient (above: 20 u for a net of this depth) moves the weights by that share of their way; the loss
    // falls by about 1 on that way.
    expect(largest(float16)).toBeLessThan(20 * roundoff.float16);
    expect(largest(bfloat16)).toBeLessThan(20 * roundoff.bfloat16);
    expect(largest(bfloat16)).toBeGreaterThan(0);
  });

  it('a gradient that overflows is skipped: nothing moves but the scale, which falls until it fits', async () => {
    await withTrainer(
      'float16',
      async (trainer) => {
        const read = async (): Promise<readonly Float32Array[]> => {
          const { parameters, statistics, state, ema } = await trainer.read();
          return [parameters, statistics, state, ema].map((vector) => Float32Array.from(vector));
        };
        const before = await read();
        await trainer.accumulate(tinyBatch(0));
        expect(await trainer.update(0.05)).toMatchObject({ updates: 0, microBatches: 1, gradientNorm: 0 });
        expect(trainer.step).toBe(0);
        expect(trainer.lossScale).toEqual({ scale: 2 ** 39, updates: 0, skipped: 1 });
        expect(await read()).toEqual(before);
        for (let tries = 0; trainer.step === 0 && tries < 60; tries++) {
          // With two micro-batches, whose first may be fine.
          await trainer.accumulate(tinyBatch(0));
          await trainer.accumulate(tinyBatch(1));
          await trainer.update(0.05);
        }
        const { scale, skipped, updates } = trainer.lossScale!;
        expect(trainer.step).toBe(1);
        expect(scale).toBe(2 ** (40 - skipped));
        expect(updates).toBe(1);
        expect(scale).toBeLessThan(2 ** 24);
        const after = await read();
        for (const [i, vector] of after.entries()) expect(vector).not.toEqual(before[i]);
      },
      { scale: 2 ** 40, updates: 0, skipped: 0 },
    );
  });

  it('with the state on the device it is the same bit for bit, skipped updates included', async () => {
    const states = (mode: RunMode): Promise<readonly (readonly number[])[]> =>
      withTrainer(
        'float16',
        async (trainer) => {
          for (let i = 0; i < 30; i++) {
            for (let micro = 0; micro <= i % 2; micro++) await trainer.accumulate(tinyBatch(i + micro));
            await trainer.update(0.05);
          }
          await trainer.collect();
          const { parameters, statistics, state, ema } = await trainer.read();
          const { scale, updates, skipped } = trainer.lossScale!;
          expect(skipped).toBeGreaterThan(4);
          expect(trainer.step).toBe(30 - skipped);
          return [[scale, updates], ...[parameters, statistics, state, ema].map((vector) => Array.from(vector))];
        },
        { scale: 2 ** 30, updates: 0, skipped: 0 },
        mode,
      );
    expect(await states({ isResident: true, readEvery: 10 })).toEqual(await states({ isResident: false }));
  });

  it('ends where no scale helps, with what to do', async () => {
    const infinite = { ...tinyBatch(0), images: tinyBatch(0).images.fill(3e38) };
    await withTrainer('float16', async (trainer) => {
      const failure = await failureOf('NUMERIC', () => trainer.accumulate(infinite));
      expect(failure.message).toMatch(/the loss is NaN.*step 1/);
    });
  });
});

describe('what half precision refuses', () => {
  it('bfloat16 of a model that was prepared without it: its convolution is of a later opset', async () => {
    const prepared = prepareTraining(tinyClassifier(), { settings: defaultGraphSettings });
    const settings = { ...defaultGraphSettings, precision: 'bfloat16' } as const;
    const failure = await failureOf('INTERNAL', () =>
      buildGradientGraph(prepared, settings, { batch, isBatchOpen: false }),
    );
    expect(failure.message).toMatch(/bfloat16 needs opset 22, and the model is prepared in \d+/);
  });

  it('a model that computes in float16 already', async () => {
    const model = buildModel({
      inputs: [{ name: 'x', dims: ['n', 4] }],
      outputs: [{ name: 'y', dims: ['n', 2] }],
      initializers: [{ name: 'w', dims: [4, 2], data: Float32Array.from([1, 2, 3, 4, 5, 6, 7, 8]) }],
      nodes: [
        { op: 'MatMul', inputs: ['x', 'w'], outputs: ['h'] },
        { op: 'Cast', inputs: ['h'], outputs: ['c'], attributes: { to: FLOAT16 } },
        { op: 'Cast', inputs: ['c'], outputs: ['y'], attributes: { to: FLOAT } },
      ],
    });
    const settings = { ...defaultGraphSettings, precision: 'float16' } as const;
    const failure = await failureOf('UNSUPPORTED', () => prepareTraining(model, { settings }));
    expect(failure.message).toMatch(/computes in float16 already.*'c'.*--precision float32/);
    expect(prepareTraining(model, { settings: defaultGraphSettings }).classes).toBe(2);
  });
});
