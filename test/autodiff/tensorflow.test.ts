import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { differentiate } from '../../src/autodiff/differentiate.js';
import { float, int, ints, string } from '../../src/graph/attributes.js';
import { Graph } from '../../src/graph/graph.js';
import type { Value } from '../../src/graph/value.js';
import { modelBytes } from '../../src/graph/write.js';
import { FLOAT, INT64 } from '../../src/onnx/data-type.js';
import { Emitter } from '../../src/ops/emitter.js';
import { createRandom } from '../linalg/support/random.js';
import { seed } from './support/seed.js';

beforeAll(async () => {
  tf.env().set('PROD', true);
  await tf.setBackend('cpu');
});

type Function1 = readonly [emit: (e: Emitter, x: Value) => Value, compute: (x: tf.Tensor4D) => tf.Tensor4D];

/** Element by element, in ONNX and in TensorFlow.js. */
const activations: Readonly<Record<string, Function1>> = {
  Relu: [(e, x) => e.emit('Relu', [x]), (x) => tf.relu(x)],
  LeakyRelu: [(e, x) => e.emit('LeakyRelu', [x], { alpha: float(0.1) }), (x) => tf.leakyRelu(x, 0.1)],
  Clip: [(e, x) => e.emit('Clip', [x, e.scalar(-0.5), e.scalar(0.75)]), (x) => tf.clipByValue(x, -0.5, 0.75)],
  Elu: [(e, x) => e.emit('Elu', [x]), (x) => tf.elu(x)],
  Sigmoid: [(e, x) => e.emit('Sigmoid', [x]), (x) => tf.sigmoid(x)],
  Tanh: [(e, x) => e.emit('Tanh', [x]), (x) => tf.tanh(x)],
  Softplus: [(e, x) => e.emit('Softplus', [x]), (x) => tf.softplus(x)],
  Erf: [(e, x) => e.emit('Erf', [x]), (x) => tf.erf(x)],
  SiLU: [(e, x) => e.mul(x, e.emit('Sigmoid', [x])), (x) => tf.mul(x, tf.sigmoid(x))],
  HardSwish: [
    (e, x) => e.emit('HardSwish', [x]),
    (x) => tf.mul(x, tf.clipByValue(tf.add(tf.mul(x, 1 / 6), 0.5), 0, 1)),
  ],
};

/** TensorFlow.js has channels last. */
const pools: Readonly<Record<string, Function1>> = {
  MaxPool: [
    (e, x) => e.emit('MaxPool', [x], { kernel_shape: ints([2, 2]), strides: ints([2, 1]) }),
    (x) => tf.maxPool(x, [2, 2], [2, 1], 'valid'),
  ],
  AveragePool: [
    (e, x) => e.emit('AveragePool', [x], { kernel_shape: ints([2, 2]), strides: ints([1, 2]) }),
    (x) => tf.avgPool(x, [2, 2], [1, 2], 'valid'),
  ],
  GlobalAveragePool: [(e, x) => e.emit('GlobalAveragePool', [x]), (x) => tf.mean(x, [1, 2], true)],
};

const axis = fc.record({
  size: fc.integer({ min: 4, max: 8 }),
  kernel: fc.integer({ min: 1, max: 3 }),
  stride: fc.integer({ min: 1, max: 2 }),
  before: fc.integer({ min: 0, max: 2 }),
  after: fc.integer({ min: 1, max: 2 }),
});

const network = fc.record({
  batch: fc.integer({ min: 2, max: 4 }),
  channels: fc.integer({ min: 1, max: 3 }),
  out: fc.integer({ min: 1, max: 4 }),
  classes: fc.integer({ min: 2, max: 5 }),
  rows: axis,
  cols: axis,
  activation: fc.constantFrom(...Object.keys(activations)),
  pool: fc.constantFrom(...Object.keys(pools)),
  isTraining: fc.boolean(),
  seed: fc.integer({ min: 0, max: 1e6 }),
});
type Network = typeof network extends fc.Arbitrary<infer T> ? T : never;

const epsilon = 0.1;

interface Parameter {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** Cross entropy of dense(pool(activation(normalization(conv(x))))), and its gradients by everything that is learned. */
interface Gradients {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

function sizesOf({ rows, cols, pool, out }: Network): { readonly features: number } {
  const size = ({ size: length, kernel, stride, before, after }: Network['rows']): number =>
    Math.floor((length + before + after - kernel) / stride) + 1;
  const [height, width] = [size(rows), size(cols)];
  const pooled = {
    MaxPool: (Math.floor((height - 2) / 2) + 1) * (width - 1),
    AveragePool: (height - 1) * (Math.floor((width - 2) / 2) + 1),
    GlobalAveragePool: 1,
  };
  return { features: out * pooled[pool as keyof typeof pooled] };
}

function parametersOf(n: Network): readonly Parameter[] {
  const { normal, uniform } = createRandom(n.seed);
  const fill = (name: string, dims: readonly number[], draw: () => number): Parameter => {
    const size = dims.reduce((product, dim) => product * dim, 1);
    return { name, dims, data: Float32Array.from({ length: size }, draw) };
  };
  const { features } = sizesOf(n);
  const fanIn = n.channels * n.rows.kernel * n.cols.kernel;
  return [
    fill('x', [n.batch, n.channels, n.rows.size, n.cols.size], normal),
    fill('filter', [n.out, n.channels, n.rows.kernel, n.cols.kernel], () => normal() / Math.sqrt(fanIn)),
    fill('shift', [n.out], normal),
    fill('scale', [n.out], () => 0.5 + uniform()),
    fill('offset', [n.out], normal),
    fill('dense', [features, n.classes], () => normal() / Math.sqrt(features)),
    fill('bias', [n.classes], normal),
  ];
}

const labelsOf = ({ batch, classes, seed: s }: Network): number[] =>
  Array.from({ length: batch }, (_, i) => (s + 3 * i) % classes);

/** Running statistics, for the inference form. */
const statisticsOf = ({ out }: Network): { readonly mean: Float32Array; readonly variance: Float32Array } => ({
  mean: Float32Array.from({ length: out }, (_, i) => 0.2 * i - 0.3),
  variance: Float32Array.from({ length: out }, (_, i) => 0.5 + 0.25 * i),
});

async function ours(n: Network, parameters: readonly Parameter[]): Promise<Gradients> {
  const graph = new Graph('network');
  const opsets = new Map([['', 17]]);
  const e = new Emitter(graph, { opsets });
  const feeds: Record<string, ort.Tensor> = {};
  const values = parameters.map(({ name, dims, data }) => {
    feeds[name] = new ort.Tensor('float32', data, dims);
    return e.declare(graph.addInput(name, { dataType: FLOAT, dims }), { dataType: FLOAT, dims });
  });
  const labels = labelsOf(n);
  const target = graph.addInput('labels', { dataType: INT64, dims: [n.batch] });
  e.declare(target, { dataType: INT64, dims: [n.batch] });
  feeds['labels'] = new ort.Tensor('int64', BigInt64Array.from(labels, BigInt), [n.batch]);
  const [x, filter, shift, scale, offset, dense, bias] = values as [Value, Value, Value, Value, Value, Value, Value];
  const { rows, cols } = n;
  const conv = e.emit('Conv', [x, filter, shift], {
    kernel_shape: ints([rows.kernel, cols.kernel]),
    strides: ints([rows.stride, cols.stride]),
    pads: ints([rows.before, cols.before, rows.after, cols.after]),
  });
  const { mean, variance } = statisticsOf(n);
  const [normalized] = e.emitAll(
    'BatchNormalization',
    [conv, scale, offset, e.floats(mean), e.floats(variance)],
    n.isTraining ? { epsilon: float(epsilon), training_mode: int(1) } : { epsilon: float(epsilon) },
    { outputs: n.isTraining ? 3 : 1 },
  );
  const pooled = pools[n.pool]![0](e, activations[n.activation]![0](e, normalized!));
  const flat = e.reshape(e.transpose(pooled, [0, 2, 3, 1]), [n.batch, sizesOf(n).features]);
  const logits = e.add(e.emit('MatMul', [flat, dense]), bias);
  const loss = e.emit('SoftmaxCrossEntropyLoss', [logits, target], { reduction: string('mean') });
  const gradients = differentiate(e, [...graph.nodes], new Map([[loss, e.scalar(1)]]), values);
  graph.addOutput(e.emit('Identity', [loss], {}, { name: 'loss' }));
  for (const value of values) {
    graph.addOutput(e.emit('Identity', [gradients.get(value)!], {}, { name: `d_${value.name}` }));
  }
  const about = { producerName: 'test', producerVersion: '', metadata: new Map(), functions: [], file: undefined };
  const session = await ort.InferenceSession.create(modelBytes({ graph, opsets, irVersion: 8, ...about }), {
    logSeverityLevel: 3,
    intraOpNumThreads: 1,
  });
  try {
    const out = await session.run(feeds);
    const named = (start: string): Float32Array => {
      const { name } = graph.outputs.find((output) => output.name.startsWith(start))!;
      return out[name]!.data as Float32Array;
    };
    return {
      loss: named('loss')[0]!,
      gradients: new Map(parameters.map(({ name }) => [name, named(`d_${name}`)])),
    };
  } finally {
    await session.release();
  }
}

function theirs(n: Network, parameters: readonly Parameter[]): Gradients {
  tf.engine().startScope();
  try {
    const { rows, cols } = n;
    const lossOf = (...values: tf.Tensor[]): tf.Scalar => {
      const [x, filter, shift, scale, offset, dense, bias] = values as [
        tf.Tensor4D,
        tf.Tensor4D,
        tf.Tensor1D,
        tf.Tensor1D,
        tf.Tensor1D,
        tf.Tensor2D,
        tf.Tensor1D,
      ];
      const padded = tf.pad(tf.transpose(x, [0, 2, 3, 1]), [
        [0, 0],
        [rows.before, rows.after],
        [cols.before, cols.after],
        [0, 0],
      ]);
      const kernel = tf.transpose(filter, [2, 3, 1, 0]);
      const conv = tf.add<tf.Tensor4D>(tf.conv2d(padded, kernel, [rows.stride, cols.stride], 'valid'), shift);
      const running = statisticsOf(n);
      const moments = n.isTraining
        ? tf.moments(conv, [0, 1, 2])
        : { mean: tf.tensor1d(running.mean), variance: tf.tensor1d(running.variance) };
      const normalized = tf.batchNorm4d(
        conv,
        moments.mean as tf.Tensor1D,
        moments.variance as tf.Tensor1D,
        offset,
        scale,
        epsilon,
      );
      const pooled = pools[n.pool]![1](activations[n.activation]![1](normalized));
      const logits = tf.add<tf.Tensor2D>(tf.matMul(tf.reshape(pooled, [n.batch, sizesOf(n).features]), dense), bias);
      return tf.losses.softmaxCrossEntropy(tf.oneHot(tf.tensor1d(labelsOf(n), 'int32'), n.classes), logits);
    };
    const inputs = parameters.map(({ dims, data }) => tf.tensor(data, [...dims]));
    const { value, grads } = tf.valueAndGrads(lossOf)(inputs);
    return {
      loss: value.dataSync<'float32'>()[0]!,
      gradients: new Map(parameters.map(({ name }, i) => [name, grads[i]!.dataSync<'float32'>()])),
    };
  } finally {
    tf.engine().endScope();
  }
}

describe('gradients of a network', () => {
  /**
   * Both are float32. A layer's sums have at most 4 · 8 · 8 · 4 = 1024 terms, and errors of random signs grow with the root of
   * that: 32 · 2⁻²⁴ = 2e-6 of the terms' size in each of five layers there and back, which the normalization, dividing by
   * √0.1 at least, makes up to three times as large: 6e-5. Gradients are held to that with room for cancellation between
   * terms, as parts of the largest of their tensor; a rule that is wrong is wrong by parts of one.
   */
  const tolerance = 2e-4;

  it("agree with TensorFlow.js's automatic differentiation", { timeout: 600_000 }, async () => {
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(network, async (n) => {
        seen.add(n.activation).add(n.pool).add(`training ${n.isTraining}`);
        const parameters = parametersOf(n);
        const [a, b] = [await ours(n, parameters), theirs(n, parameters)];
        expect(Math.abs(a.loss - b.loss)).toBeLessThanOrEqual(1e-5 * Math.max(1, b.loss));
        for (const { name } of parameters) {
          const [one, other] = [a.gradients.get(name)!, b.gradients.get(name)!];
          expect(one.length, name).toBe(other.length);
          const largest = other.reduce((most, g) => Math.max(most, Math.abs(g)), 0);
          // The shift of a convolution before batch statistics changes nothing: its gradient is rounding alone.
          const scale = name === 'shift' && n.isTraining ? 1 : largest;
          for (const [i, g] of one.entries()) {
            expect(Math.abs(g - other[i]!), `${name}, element ${i} of ${JSON.stringify(n)}`).toBeLessThanOrEqual(
              tolerance * scale,
            );
          }
        }
      }),
      { seed: seed('the networks'), numRuns: 60 },
    );
    // Every operator was tried.
    expect(seen.size).toBe(Object.keys(activations).length + Object.keys(pools).length + 2);
  });
});
