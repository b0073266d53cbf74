import type { BuildForward } from '../../../src/autodiff/forward.js';
import { Graph } from '../../../src/graph/graph.js';
import type { Model } from '../../../src/graph/model.js';
import type { Value } from '../../../src/graph/value.js';
import { modelBytes } from '../../../src/graph/write.js';
import { FLOAT } from '../../../src/onnx/data-type.js';
import { Emitter } from '../../../src/ops/emitter.js';
import { inferShapes } from '../../../src/ops/infer.js';
import { loadDriver } from '../../../src/runtime/driver.js';
import type { RuntimeTensor } from '../../../src/runtime/types.js';
import { randomOf } from '../../support/mutate.js';

/** What one forward and backward pass gives. */
export interface StepResult {
  readonly logits: Float32Array;
  /** By the name of the parameter. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
  /** In the order of the statistics: mean and variance of each. */
  readonly statistics: readonly {
    readonly name: string;
    readonly mean: Float32Array;
    readonly variance: Float32Array;
  }[];
  /** How many nodes of each operator the step has. */
  readonly operators: ReadonlyMap<string, number>;
}

export interface StepCase {
  readonly model: Model;
  readonly images: RuntimeTensor;
  /** Target distributions [N, classes]; the loss is the cross entropy with them, averaged over the batch. */
  readonly targets: Float32Array;
  /** Values of parameters in place of the model's. */
  readonly parameters?: ReadonlyMap<string, Float32Array>;
}

/** The float initializers of a model that are no running statistics. */
export function parametersOf({ graph }: Model): Value[] {
  const statistics = runningStatistics(graph);
  return graph.initializers.filter((value) => value.tensor!.dataType === FLOAT && !statistics.has(value));
}

function runningStatistics(graph: Graph): ReadonlySet<Value | undefined> {
  return new Set(graph.nodes.filter((node) => node.is('BatchNormalization')).flatMap((node) => node.inputs.slice(3)));
}

/** Emits forward, loss gradient and backward by `build`, runs them, and gives logits, statistics and all gradients. */
export async function runStep(
  { model, images, targets, parameters }: StepCase,
  build: BuildForward,
): Promise<StepResult> {
  const { graph: source } = model;
  const input = source.inputs.find(({ tensor }) => tensor === undefined)!;
  const shapes = inferShapes(model, { inputShapes: { [input.name]: [...images.dims] } });
  const opsets = new Map([...model.opsets, ['com.microsoft', 1], ['com.microsoft.nchwc', 1]]);
  const graph = new Graph('step');
  const e = new Emitter(graph, { opsets });
  const feeds: Record<string, RuntimeTensor> = {};
  const feed = (name: string, dims: readonly number[], data: Float32Array): Value => {
    feeds[name] = { type: 'float32', dims, data };
    return e.declare(graph.addInput(name, { dataType: FLOAT, dims }), { dataType: FLOAT, dims });
  };
  const bindings = new Map<Value, Value>([[input, feed('images', images.dims, images.data as Float32Array)]]);
  const wanted = parametersOf(model);
  const statistics = [...runningStatistics(source)].filter((value) => value !== undefined);
  for (const value of [...wanted, ...statistics]) {
    const data = parameters?.get(value.name) ?? Float32Array.from(value.tensor!.toNumbers());
    bindings.set(value, feed(`in/${value.name}`, value.tensor!.dims, data));
  }
  const forward = build(e, { graph: source, opsets, shapes, outputs: [source.outputs[0]!] }, bindings);
  const [batch, classes] = e.dims(forward.outputs[0]!) as [number, number];
  const target = feed('targets', [batch, classes], targets);
  const softmax = e.emit('Softmax', [forward.outputs[0]!], { axis: { type: 'int', value: -1 } });
  const gradient = e.scale(e.sub(softmax, target), 1 / batch);
  const gradients = forward.backward(
    new Map([[forward.outputs[0]!, gradient]]),
    wanted.map((value) => bindings.get(value)!),
  );
  // An output may be an input, or stand for two things: each gets a name of its own.
  const output = (name: string, value: Value): void => graph.addOutput(e.emit('Identity', [value], {}, { name }));
  output('out/logits', forward.outputs[0]!);
  forward.statistics.forEach(({ mean, variance }, i) => {
    output(`mean/${i}`, mean);
    output(`variance/${i}`, variance);
  });
  for (const value of wanted) {
    const result = gradients.get(bindings.get(value)!);
    if (result !== undefined) output(`d/${value.name}`, result);
  }
  const step: Model = { ...model, graph, opsets, irVersion: 9, metadata: new Map(), functions: [], file: undefined };
  const session = await (await loadDriver()).createSession(modelBytes(step), { threads: 2 });
  try {
    const known = new Set(session.inputs.map(({ name }) => name));
    const used = Object.fromEntries(Object.entries(feeds).filter(([name]) => known.has(name)));
    const results = await session.run(used);
    const data = (name: string): Float32Array => results[name]!.data as Float32Array;
    const operators = new Map<string, number>();
    for (const { opType } of graph.nodes) operators.set(opType, (operators.get(opType) ?? 0) + 1);
    return {
      logits: data('out/logits'),
      operators,
      statistics: forward.statistics.map(({ runningMean }, i) => ({
        name: runningMean.name,
        mean: data(`mean/${i}`),
        variance: data(`variance/${i}`),
      })),
      gradients: new Map(
        wanted.flatMap(({ name }) => (results[`d/${name}`] === undefined ? [] : [[name, data(`d/${name}`)] as const])),
      ),
    };
  } finally {
    await session.close();
  }
}

/** Reproducible numbers in [−1, 1). */
export function uniform(seed: number, size: number): Float32Array {
  const integer = randomOf(seed);
  return Float32Array.from({ length: size }, () => integer(2 ** 24) / 2 ** 23 - 1);
}

/** (1 − e) onehot(y) + e / K, one row per label. */
export function smoothedTargets(labels: readonly number[], classes: number, smoothing: number): Float32Array {
  const targets = new Float32Array(labels.length * classes).fill(smoothing / classes);
  labels.forEach((label, row) => (targets[row * classes + label]! += 1 - smoothing));
  return targets;
}

/** The largest |a − b|, and the largest |b|. */
export function difference(a: Float32Array, b: Float32Array): { readonly error: number; readonly largest: number } {
  let [error, largest] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    error = Math.max(error, Math.abs(a[i]! - b[i]!));
    largest = Math.max(largest, Math.abs(b[i]!));
  }
  return { error: Number.isNaN(error) || a.length !== b.length ? Infinity : error, largest };
}

/** `data`, `copies` times in a row. */
export function repeated(data: Float32Array, copies: number): Float32Array {
  const result = new Float32Array(data.length * copies);
  for (let i = 0; i < copies; i++) result.set(data, i * data.length);
  return result;
}
