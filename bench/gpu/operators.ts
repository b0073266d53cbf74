import { int, ints } from '../../src/graph/attributes.js';
import type { Value } from '../../src/graph/value.js';
import { modelBytes } from '../../src/graph/write.js';
import { FLOAT } from '../../src/onnx/data-type.js';
import type { Emitter } from '../../src/ops/emitter.js';
import { convWeightGradient } from '../../src/ops/support/conv-gradient.js';
import type { Convolution } from '../../src/ops/support/convolution.js';
import { depthwiseWeightByConvolution, depthwiseWeightByProducts } from '../../src/ops/support/depthwise-gradient.js';
import { fillTruncatedNormal, randomStream } from '../../src/random.js';
import type { Driver, SessionOptions } from '../../src/runtime/types.js';
import { addInput, addOutput, startGraph } from '../../src/step/emitted.js';
import { misplaced } from '../../src/runtime/placement.js';
import { median } from '../support/bench.js';

/** One way to compute a gradient or a reduction. */
interface Formulation {
  readonly operator: string;
  readonly name: string;
  readonly shape: string;
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  build(e: Emitter, inputs: readonly Value[]): Value;
}

export interface FormulationTime {
  readonly operator: string;
  readonly name: string;
  readonly shape: string;
  readonly milliseconds: number | null;
  /** Why there is no time, or what is worth knowing: nodes on the CPU. */
  readonly note: string | null;
}

/** x [N, C, H, W] as [C, N·H·W]: one matrix for the whole batch. */
function channelMajor(e: Emitter, x: Value): Value {
  const [n, c, h, w] = e.dims(x) as [number, number, number, number];
  return e.reshape(e.transpose(x, [1, 0, 2, 3]), [c, n * h * w]);
}

/** The ways to get the gradients of a convolution of C to M channels, kernel k×k, padded to keep the size. */
function convolution(n: number, c: number, m: number, side: number, k: number): readonly Formulation[] {
  const x = [n, c, side, side];
  const dy = [n, m, side, side];
  const w = [m, c, k, k];
  const pads = ints([(k - 1) / 2, (k - 1) / 2, (k - 1) / 2, (k - 1) / 2]);
  const shape = `N ${n}, ${c} → ${m}, ${side}², ${k}×${k}`;
  const swap = (e: Emitter, value: Value): Value => e.transpose(value, [1, 0, 2, 3]);
  const gradients: Formulation[] = [
    {
      ...{ operator: 'Conv', name: 'forward', shape, inputs: { x, w } },
      build: (e, [a, b]) => e.emit('Conv', [a!, b!], { pads }),
    },
    {
      ...{ operator: 'Conv, data gradient', name: 'ConvTranspose', shape, inputs: { dy, w } },
      build: (e, [a, b]) => e.emit('ConvTranspose', [a!, b!], { pads }),
    },
    {
      ...{ operator: 'Conv, data gradient', name: 'Conv with the exchanged kernel', shape, inputs: { dy, w } },
      build: (e, [a, b]) => e.emit('Conv', [a!, swap(e, b!)], { pads }),
    },
    {
      ...{ operator: 'Conv, weight gradient', name: 'Conv with swapped axes', shape, inputs: { x, dy } },
      build: (e, [a, b]) => e.emit('Conv', [swap(e, a!), swap(e, b!)], { pads }),
    },
  ];
  if (k > 1) {
    const whole: Convolution = { ...plain(c, m, side, k), group: 1 };
    return [
      ...gradients,
      {
        ...{ operator: 'Conv, weight gradient', name: 'products by tap', shape, inputs: { x, dy } },
        build: (e, [a, b]) => convWeightGradient(e, whole, a!, b!),
      },
    ];
  }
  return [
    ...gradients,
    {
      ...{ operator: 'Conv, weight gradient', name: 'one GEMM over [C, N·H·W]', shape, inputs: { x, dy } },
      build: (e, [a, b]) => e.emit('Gemm', [channelMajor(e, b!), channelMajor(e, a!)], { transB: int(1) }),
    },
    {
      ...{ operator: 'Conv, weight gradient', name: 'a MatMul an image, then a sum', shape, inputs: { x, dy } },
      build: (e, [a, b]) => {
        const flat = (value: Value, rows: number): Value => e.reshape(value, [n, rows, side * side]);
        const each = e.emit('MatMul', [flat(b!, m), e.transpose(flat(a!, c), [0, 2, 1])]);
        return e.emit('ReduceSum', [each, e.ints([0])], { keepdims: int(0) });
      },
    },
  ];
}

/** A convolution of stride 1 that keeps the size. */
function plain(channels: number, filters: number, side: number, k: number): Convolution {
  const both = (value: number): readonly number[] => [value, value];
  return {
    ...{ group: channels, channels, filters, kernel: both(k), strides: both(1), dilations: both(1) },
    ...{ begins: both((k - 1) / 2), input: both(side), output: both(side) },
  };
}

/** The ways to get the weight gradient of a depthwise convolution of k × k. */
function depthwise(n: number, c: number, side: number, k: number): readonly Formulation[] {
  const x = [n, c, side, side];
  const shape = `N ${n}, ${c}, ${side}², ${k}×${k}`;
  const about = { operator: 'Conv, depthwise, weight gradient', shape, inputs: { x, dy: x } };
  const convolution = plain(c, c, side, k);
  return [
    {
      ...{ ...about, name: 'Conv with dy as the kernel' },
      build: (e, [a, b]) => depthwiseWeightByConvolution(e, convolution, a!, b!),
    },
    {
      ...{ ...about, name: 'products by row of the kernel' },
      build: (e, [a, b]) => depthwiseWeightByProducts(e, convolution, a!, b!),
    },
    {
      ...{ ...about, name: 'a product and a sum by tap' },
      build: (e, [a, b]) => {
        const reach = (k - 1) / 2;
        const padded = e.pad(a!, [0, 0, reach, reach, 0, 0, reach, reach]);
        const taps = Array.from({ length: k * k }, (_, i) => [Math.floor(i / k), i % k] as const);
        const sums = taps.map(([i, j]) => {
          const met = e.slice(padded, [i, j], [i + side, j + side], [2, 3]);
          return e.reshape(e.reduceSum(e.mul(met, b!), [0, 2, 3], false), [c, 1]);
        });
        return e.concat(sums, 1);
      },
    },
  ];
}

/** Depthwise convolution, normalization and reductions over a batch. */
function others(n: number, c: number, side: number): readonly Formulation[] {
  const x = [n, c, side, side];
  const shape = `N ${n}, ${c}, ${side}²`;
  const vector = [c];
  const scales = { scale: vector, bias: vector, mean: vector, variance: vector };
  return [
    {
      ...{ operator: 'Conv, depthwise 3×3', name: 'forward', shape, inputs: { x, w: [c, 1, 3, 3] } },
      build: (e, [a, b]) => e.emit('Conv', [a!, b!], { group: int(c), pads: ints([1, 1, 1, 1]) }),
    },
    {
      ...{ operator: 'BatchNormalization', name: 'training_mode = 1', shape, inputs: { x, ...scales } },
      build: (e, inputs) => e.emitAll('BatchNormalization', inputs, { training_mode: int(1) }, { outputs: 3 })[0]!,
    },
    {
      ...{ operator: 'BatchNormalization', name: 'mean, variance and products', shape, inputs: { x, ...scales } },
      build: (e, [a, scale, bias]) => {
        const mean = e.emit('ReduceMean', [a!, e.ints([0, 2, 3])], { keepdims: int(1) });
        const centered = e.sub(a!, mean);
        const variance = e.emit('ReduceMean', [e.mul(centered, centered), e.ints([0, 2, 3])], { keepdims: int(1) });
        const deviation = e.emit('Sqrt', [e.add(variance, e.scalar(1e-5))]);
        const wide = (value: Value): Value => e.reshape(value, [1, c, 1, 1]);
        return e.add(e.mul(e.div(centered, deviation), wide(scale!)), wide(bias!));
      },
    },
    {
      ...{ operator: 'Sum over N, H, W', name: 'ReduceSum', shape, inputs: { x } },
      build: (e, [a]) => e.emit('ReduceSum', [a!, e.ints([0, 2, 3])], { keepdims: int(0) }),
    },
    {
      ...{ operator: 'Sum over N, H, W', name: 'MatMul with ones, then a sum', shape, inputs: { x } },
      build: (e, [a]) => {
        const ones = e.emit('Expand', [e.floats([1]), e.ints([side * side, 1])]);
        const sums = e.emit('MatMul', [e.reshape(a!, [n, c, side * side]), ones]);
        return e.emit('ReduceSum', [sums, e.ints([0, 2])], { keepdims: int(0) });
      },
    },
    {
      ...{ operator: 'Sum over N, H, W', name: 'AveragePool over the image, then a sum', shape, inputs: { x } },
      build: (e, [a]) =>
        e.emit('ReduceSum', [e.emit('GlobalAveragePool', [a!]), e.ints([0, 2, 3])], { keepdims: int(0) }),
    },
  ];
}

export function formulations(batch: number, isSmall: boolean): readonly Formulation[] {
  if (isSmall) {
    return [
      ...[...convolution(batch, 8, 16, 8, 1), ...convolution(batch, 8, 8, 8, 3)],
      ...[...depthwise(batch, 8, 8, 3), ...others(batch, 8, 8)],
    ];
  }
  return [
    ...convolution(batch, 64, 256, 56, 1),
    ...convolution(batch, 1024, 256, 14, 1),
    ...convolution(batch, 64, 64, 56, 3),
    ...convolution(batch, 256, 256, 14, 3),
    ...depthwise(batch, 32, 112, 3),
    ...depthwise(batch, 240, 28, 5),
    ...depthwise(batch, 1152, 7, 5),
    ...others(batch, 256, 56),
    ...others(batch, 672, 14),
  ];
}

/** Milliseconds of a run, inputs and output on the device: median of `rounds` behind three that do not count. */
export async function timeFormulation(
  one: Formulation,
  driver: Driver,
  options: SessionOptions,
  rounds: number,
): Promise<FormulationTime> {
  const { operator, name, shape } = one;
  try {
    const { model, e } = startGraph('formulation', new Map([['', 20]]), false);
    const inputs = Object.entries(one.inputs).map(([key, dims]) => addInput(e, key, FLOAT, dims));
    const result = e.emit('Identity', [one.build(e, inputs)], {}, { name: 'result' });
    addOutput(e, result);
    const session = await driver.createSession(modelBytes(model), options);
    try {
      const binding = session.bind();
      for (const [key, dims] of Object.entries(one.inputs)) {
        const tensor = session.allocate('float32', dims);
        const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
        fillTruncatedNormal(randomStream(0, key), data, 1, 0.3);
        await tensor.write(data);
        binding.bindInput(key, tensor);
      }
      binding.bindOutput('result', session.allocate('float32', e.dims(result)));
      const milliseconds: number[] = [];
      for (let i = -3; i < rounds; i++) {
        const started = performance.now();
        await binding.run();
        if (i >= 0) milliseconds.push(performance.now() - started);
      }
      const note = misplaced(session, options.device ?? 'cpu', 'this graph') ?? null;
      return { operator, name, shape, milliseconds: median(milliseconds), note };
    } finally {
      await session.close();
    }
  } catch (error) {
    return { operator, name, shape, milliseconds: null, note: error instanceof Error ? error.message : String(error) };
  }
}
