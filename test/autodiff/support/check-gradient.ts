import * as ort from 'onnxruntime-node';
import { expect } from 'vitest';
import { differentiate } from '../../../src/autodiff/differentiate.js';
import type { Attribute } from '../../../src/graph/attribute.js';
import { Graph } from '../../../src/graph/graph.js';
import type { Model } from '../../../src/graph/model.js';
import type { Value } from '../../../src/graph/value.js';
import { modelBytes } from '../../../src/graph/write.js';
import { BOOL, FLOAT, INT64 } from '../../../src/onnx/data-type.js';
import { Emitter } from '../../../src/ops/emitter.js';
import { randomOf } from '../../support/mutate.js';

/**
 * An input of the operator: a float tensor to differentiate by, one that is fed but not differentiated, integers (constant,
 * or fed where nothing but their shape is to be known before the run), constant floats, or truth values.
 */
export type Input =
  | { readonly dims: readonly number[]; readonly range?: readonly [number, number]; readonly fixed?: boolean }
  | { readonly ints: readonly number[]; readonly dims?: readonly number[]; readonly isFed?: boolean }
  | { readonly floats: readonly number[] }
  | { readonly bools: readonly number[]; readonly dims: readonly number[] }
  | { readonly values: readonly number[]; readonly dims: readonly number[]; readonly fixed?: boolean }
  | undefined;

export interface GradientCase {
  readonly opType: string;
  readonly domain?: string;
  /** Default 17. */
  readonly opset?: number;
  readonly inputs: readonly Input[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Number of outputs; default 1. */
  readonly outputs?: number;
  /** Which outputs the loss reads; default the first. */
  readonly read?: readonly number[];
  readonly seed?: number;
  /** Step of the differences; default 1e-2. Choose inputs further than this from kinks. */
  readonly step?: number;
  /** Error relative to the largest slope among the directions; default 2e-3: float32 differences are no better. */
  readonly tolerance?: number;
  /** The gradient of Σ y by another definition (PyTorch's at a kink), in place of the differences. */
  readonly expected?: readonly (readonly number[] | undefined)[];
}

const directions = 6;

/**
 * Emits the operator and the gradient of Σ r·y for fixed random r, runs both, and compares the gradient with central
 * differences (Richardson-extrapolated from two steps, error O(h⁴) plus rounding) along single elements and random
 * directions. Does it twice, with a closed and an open batch, whose results must be the same.
 */
export async function checkGradient(gradientCase: GradientCase): Promise<void> {
  const closed = await evaluate(gradientCase, false);
  const open = await evaluate(gradientCase, true);
  closed.forEach((gradient, i) => {
    if (gradient === undefined) return;
    expect(Array.from(open[i]!), `input ${i}, open batch`).toEqual(Array.from(gradient));
  });
}

/** The operator of a case and the gradients of its inputs, as a model, and what it is run with. */
export interface EmittedCase {
  readonly model: Model;
  readonly feeds: Readonly<Record<string, ort.Tensor>>;
  readonly values: readonly (Value | undefined)[];
  readonly isWanted: readonly boolean[];
  /** Of the outputs that the loss reads. */
  readonly weights: ReadonlyMap<Value, Float32Array>;
  readonly points: readonly (Float32Array | undefined)[];
  /** Random numbers that go on where the emission stopped. */
  readonly random: () => number;
}

export function emitCase(gradientCase: GradientCase, isBatchOpen: boolean): EmittedCase {
  const { opType, domain = '', opset = 17, attributes = {}, outputs = 1, read = [0], seed = 1 } = gradientCase;
  const integer = randomOf(seed);
  const random = (): number => integer(2 ** 30) / 2 ** 30;
  const uniform = (low: number, high: number): number => low + (high - low) * random();
  const graph = new Graph('check');
  const opsets = new Map([
    ['', opset],
    ['com.microsoft', 1],
  ]);
  const e = new Emitter(graph, { opsets, isBatchOpen });
  const feeds: Record<string, ort.Tensor> = {};
  const points = gradientCase.inputs.map((input): Float32Array | undefined => {
    if (input === undefined || 'ints' in input || 'bools' in input || 'floats' in input) return undefined;
    const size = input.dims.reduce((product, dim) => product * dim, 1);
    if ('values' in input) return Float32Array.from(input.values);
    const [low, high] = input.range ?? [-1.5, 1.5];
    return Float32Array.from({ length: size }, () => uniform(low, high));
  });
  const values = gradientCase.inputs.map((input, i): Value | undefined => {
    if (input === undefined) return undefined;
    if ('floats' in input) return e.floats(input.floats);
    if ('bools' in input) {
      const value = graph.addInput(`x${i}`, { dataType: BOOL, dims: input.dims });
      feeds[value.name] = new ort.Tensor('bool', Uint8Array.from(input.bools), input.dims);
      return e.declare(value, { dataType: BOOL, dims: input.dims });
    }
    if ('ints' in input) {
      if (input.isFed !== true) return e.ints(input.ints, input.dims);
      const dims = input.dims ?? [input.ints.length];
      const value = graph.addInput(`x${i}`, { dataType: INT64, dims });
      feeds[value.name] = new ort.Tensor('int64', BigInt64Array.from(input.ints, BigInt), dims);
      return e.declare(value, { dataType: INT64, dims });
    }
    const value = graph.addInput(`x${i}`, { dataType: FLOAT, dims: input.dims });
    feeds[value.name] = new ort.Tensor('float32', points[i]!, input.dims);
    return e.declare(value, { dataType: FLOAT, dims: input.dims });
  });
  const results = e.emitAll(opType, values, attributes, { domain, outputs });
  const nodes = [...graph.nodes];
  const seeds = new Map<Value, Value>();
  const weights = new Map<Value, Float32Array>();
  for (const index of read) {
    const y = results[index]!;
    graph.addOutput(y);
    const size = e.dims(y).reduce((product, dim) => product * dim, 1);
    const r = Float32Array.from({ length: size }, () => (gradientCase.expected === undefined ? uniform(-1, 1) : 1));
    weights.set(y, r);
    const dy = graph.addInput(`r${index}`, { dataType: FLOAT, dims: e.dims(y) });
    feeds[dy.name] = new ort.Tensor('float32', r, e.dims(y));
    seeds.set(y, e.declare(dy, { dataType: FLOAT, dims: e.dims(y) }));
  }
  const isWanted = gradientCase.inputs.map(
    (input) =>
      input !== undefined && !('ints' in input) && !('bools' in input) && !('floats' in input) && input.fixed !== true,
  );
  const wanted = values.filter((value, i): value is Value => value !== undefined && isWanted[i] === true);
  const gradients = differentiate(e, nodes, seeds, wanted);
  for (const value of wanted) {
    const gradient = gradients.get(value);
    if (gradient === undefined) throw new Error(`no gradient of ${value.name}`);
    // An output may be an input or come twice: each gradient is given a name of its own.
    graph.addOutput(e.emit('Identity', [gradient], {}, { name: `d_${value.name}` }));
  }
  const model: Model = {
    graph,
    opsets,
    irVersion: opset >= 20 ? 10 : 8,
    producerName: 'test',
    producerVersion: '',
    metadata: new Map(),
    functions: [],
    file: undefined,
  };
  return { model, feeds, values, isWanted, weights, points, random };
}

async function evaluate(gradientCase: GradientCase, isBatchOpen: boolean): Promise<(Float32Array | undefined)[]> {
  const { model, feeds, values, isWanted, weights, points, random } = emitCase(gradientCase, isBatchOpen);
  const { graph } = model;
  const { seed = 1 } = gradientCase;
  const uniform = (low: number, high: number): number => low + (high - low) * random();
  const session = await ort.InferenceSession.create(modelBytes(model), {
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 3,
    intraOpNumThreads: 1,
  });
  const names = [...weights.keys()].map(({ name }) => name);
  const loss = async (moved: ReadonlyMap<number, Float32Array>): Promise<number> => {
    const changed = Object.fromEntries(
      [...moved].map(([i, data]) => {
        const { dims } = gradientCase.inputs[i] as { readonly dims: readonly number[] };
        return [`x${i}`, new ort.Tensor('float32', data, dims)];
      }),
    );
    const out = await session.run({ ...feeds, ...changed }, names);
    let sum = 0;
    for (const [y, r] of weights) {
      const data = out[y.name]!.data as Float32Array;
      for (let k = 0; k < r.length; k++) sum += r[k]! * data[k]!;
    }
    return sum;
  };
  try {
    const out = await session.run(feeds);
    const computed = values.map((value, i) =>
      value === undefined || isWanted[i] !== true
        ? undefined
        : (out[graph.outputs.find(({ name }) => name === `d_${value.name}`)!.name]!.data as Float32Array),
    );
    if (gradientCase.expected !== undefined) {
      gradientCase.expected.forEach((expected, i) => {
        if (expected === undefined) return;
        expect(Array.from(computed[i]!), `input ${i}`).toHaveLength(expected.length);
        expected.forEach((value, k) => expect(computed[i]![k]!, `input ${i}, element ${k}`).toBeCloseTo(value, 5));
      });
      return computed;
    }
    const { step = 1e-2, tolerance = 2e-3 } = gradientCase;
    const wantedIndexes = isWanted.flatMap((is, i) => (is ? [i] : []));
    const rows: { slope: number; difference: number; what: string }[] = [];
    for (const i of wantedIndexes) {
      const x = points[i]!;
      const single = Array.from({ length: Math.min(directions, x.length) }, () => Math.floor(random() * x.length));
      const tries: Float32Array[] = single.map((k) => Float32Array.from(x, (_, j) => (j === k ? 1 : 0)));
      tries.push(Float32Array.from(x, () => uniform(-1, 1)));
      for (const [n, direction] of tries.entries()) {
        const at = async (h: number): Promise<number> => {
          const plus = x.map((v, k) => v + h * direction[k]!);
          const minus = x.map((v, k) => v - h * direction[k]!);
          return ((await loss(new Map([[i, plus]]))) - (await loss(new Map([[i, minus]])))) / (2 * h);
        };
        const [near, far] = [await at(step / 2), await at(step)];
        const difference = (4 * near - far) / 3;
        const slope = computed[i]!.reduce((sum, g, k) => sum + g * direction[k]!, 0);
        rows.push({
          slope,
          difference,
          what: `input ${i}, direction ${n < single.length ? `element ${single[n]}` : 'random'}`,
        });
      }
    }
    const largest = Math.max(1e-2, ...rows.map(({ difference }) => Math.abs(difference)));
    for (const { slope, difference, what } of rows) {
      expect(
        Math.abs(slope - difference),
        `${what}, seed ${seed}: gradient ${slope}, differences ${difference}`,
      ).toBeLessThanOrEqual(tolerance * largest);
    }
    return computed;
  } finally {
    await session.release();
  }
}
