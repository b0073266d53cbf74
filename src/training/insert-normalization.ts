import { LowrankError, throwIfAborted } from '../errors.js';
import { matchesGlob } from '../rewrite/glob.js';
import { float } from '../graph/attributes.js';
import type { Graph } from '../graph/graph.js';
import { opsetOf } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import { readModel } from '../graph/read.js';
import { modelBytes } from '../graph/write.js';
import { FLOAT, INT64 } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import type { Driver, SessionOptions } from '../runtime/types.js';
import type { EvaluationBatch } from '../evaluate/evaluate.js';
import type { TrainedWeights } from '../step/export.js';
import type { Slot } from '../step/flat.js';
import { toInferenceForm } from '../passes/inference-form.js';
import { openBatch } from '../passes/open-batch.js';
import { poolStatistics, type PooledStatistics } from './pooled-statistics.js';
import { oldestOpset } from '../rewrite/statistics-graph.js';

/** A BatchNormalization that was put behind a convolution for training, by the names of its tensors. */
export interface InsertedNormalization {
  /** The convolution's output. */
  readonly output: string;
  readonly weight: string;
  readonly bias: string;
  readonly scale: string;
  readonly shift: string;
  readonly mean: string;
  readonly variance: string;
}

const epsilon = 1e-5;
/** Of the old running statistics, as ONNX counts it. */
const momentum = 0.9;

/**
 * Puts a BatchNormalization behind every convolution that has a bias and none behind it: where an exporter has folded it
 * away. Until `calibrate` it is the identity but for ε. Convolutions whose weights are shared, computed or matched by
 * `freeze` stay as they are. Throws UNSUPPORTED where there is none.
 */
export function insertNormalization(
  source: string | Uint8Array,
  freeze: readonly string[],
): { readonly bytes: Uint8Array; readonly layers: readonly InsertedNormalization[] } {
  const model = readModel(source);
  try {
    const { graph } = model;
    const isFrozen = (name: string): boolean => freeze.some((glob) => matchesGlob(name, glob));
    const layers = candidates(graph)
      .filter((conv) => !conv.inputs.some((value) => value?.tensor !== undefined && isFrozen(value.name)))
      .map((conv) => insertBehind(graph, conv));
    if (layers.length === 0 || opsetOf(model) < oldestOpset) {
      const fact =
        layers.length === 0
          ? 'there is no convolution with a bias and without BatchNormalization'
          : `the model is of opset ${opsetOf(model)}, whose BatchNormalization has another form`;
      throw new LowrankError('UNSUPPORTED', fact, { remedy: 'leave out --insert-bn' });
    }
    return { bytes: modelBytes(model), layers };
  } finally {
    model.file?.close();
  }
}

function candidates(graph: Graph): readonly Node[] {
  return graph.nodes.filter((node) => {
    const [, weight, bias] = node.inputs;
    const output = node.outputs[0];
    if (!node.is('Conv') || output === undefined || output.isOutput) return false;
    const isOwn = [weight, bias].every((value) => value?.tensor?.dataType === FLOAT && value.uses.length === 1);
    return isOwn && !output.uses.some((use) => use.node.is('BatchNormalization'));
  });
}

function insertBehind(graph: Graph, conv: Node): InsertedNormalization {
  const output = conv.outputs[0]!;
  const [, weight, bias] = conv.inputs;
  const channels = bias!.tensor!.size;
  const base = graph.uniqueName(`${output.name}.normalized`);
  const normalized = graph.addValue(base);
  const tensor = (name: string, value: number): string => {
    const data = new Float32Array(channels).fill(value);
    return graph.addInitializer(Tensor.ofFloats(graph.uniqueName(`${base}.${name}`), [channels], data)).name;
  };
  const names = {
    scale: tensor('scale', 1),
    shift: tensor('shift', 0),
    mean: tensor('mean', 0),
    variance: tensor('variance', 1),
  };
  graph.replaceUses(output, normalized);
  const inputs = [output, ...Object.values(names).map((name) => graph.value(name)!)];
  const attributes = { epsilon: float(epsilon), momentum: float(momentum) };
  const name = graph.uniqueNodeName(base);
  graph.addNode({ opType: 'BatchNormalization', name, inputs, outputs: [normalized], attributes }, { after: conv });
  return { output: output.name, weight: weight!.name, bias: bias!.name, ...names };
}

export interface CalibrationOptions {
  /** The model without what was inserted. */
  readonly source: string | Uint8Array;
  readonly layers: readonly InsertedNormalization[];
  readonly driver: Driver;
  readonly session: SessionOptions;
  readonly batches: AsyncIterable<EvaluationBatch>;
  readonly signal: AbortSignal | undefined;
}

/**
 * Sets what was inserted so that the model computes what it did before: mean and variance are those of the convolution's
 * output on the images, scale = √(variance + ε), shift = mean. Writes into the flat vectors of `weights`.
 */
export async function calibrate(options: CalibrationOptions, weights: TrainedWeights): Promise<void> {
  const pools = await outputStatistics(options);
  const { parameters, statistics, parameterSlots, statisticSlots } = weights;
  for (const layer of options.layers) {
    const pool = pools.get(layer.output)!;
    const mean = Float32Array.from(pool.mean);
    const variance = Float32Array.from(pool.variance());
    if (![...mean, ...variance].every(Number.isFinite)) {
      throw new LowrankError('NUMERIC', 'statistics of the images are not finite', { place: `'${layer.output}'` });
    }
    statistics.set(mean, slotOf(statisticSlots, layer.mean).offset);
    statistics.set(variance, slotOf(statisticSlots, layer.variance).offset);
    parameters.set(mean, slotOf(parameterSlots, layer.shift).offset);
    parameters.set(
      variance.map((value) => Math.sqrt(value + epsilon)),
      slotOf(parameterSlots, layer.scale).offset,
    );
  }
}

/** Mean and variance per channel of the convolutions' outputs. */
async function outputStatistics(options: CalibrationOptions): Promise<ReadonlyMap<string, PooledStatistics>> {
  const { source, layers, driver, batches, signal } = options;
  const model = readModel(source);
  toInferenceForm(model);
  const { graph } = model;
  const images = graph.inputs.find((value) => value.tensor === undefined)!;
  openBatch(model, images);
  images.info = undefined;
  for (const output of graph.outputs.splice(0)) output.isOutput = false;
  const emit = (opType: string, ...inputs: readonly string[]): string => {
    const output = graph.addValue(graph.uniqueName('calibration'));
    graph.addNode({ opType, name: output.name, inputs: inputs.map((name) => graph.value(name)!), outputs: [output] });
    return output.name;
  };
  const asOutput = (name: string, dataType: number = FLOAT): string => {
    graph.addOutput(graph.value(name)!, { dataType, dims: undefined });
    return name;
  };
  const observed = layers.map(({ output }) => {
    const mean = emit('GlobalAveragePool', output);
    const centered = emit('Sub', output, mean);
    const variance = emit('GlobalAveragePool', emit('Mul', centered, centered));
    const shape = asOutput(emit('Shape', output), INT64);
    return { output, mean: asOutput(mean), variance: asOutput(variance), shape };
  });
  const bytes = modelBytes(model);
  model.file?.close();
  const session = await driver.createSession(bytes, options.session);
  const pools = new Map<string, PooledStatistics>();
  try {
    for await (const { images: data, dims, size } of batches) {
      throwIfAborted(signal);
      if (size === 0) continue;
      const result = await session.run({ [images.name]: { type: 'float32', dims, data: Float32Array.from(data) } });
      for (const { output, mean, variance, shape } of observed) {
        const [, , ...space] = result[shape]!.data as BigInt64Array;
        const count = space.reduce((product, dim) => product * Number(dim), 1);
        const [means, variances] = [result[mean]!, result[variance]!];
        const channels = means.dims[1]!;
        const pool = pools.get(output) ?? poolStatistics(channels);
        pools.set(output, pool);
        for (let n = 0; n < size; n++) {
          const of = (values: typeof means): Float32Array =>
            (values.data as Float32Array).subarray(n * channels, (n + 1) * channels);
          pool.add(count, of(means), of(variances));
        }
      }
    }
  } finally {
    await session.close();
  }
  return pools;
}

/**
 * The weights of the model without what was inserted: BN(W∗x + c) = (a·W)∗x + (a·(c − mean) + shift) with
 * a = scale / √(variance + ε), computed in float64 and rounded once.
 */
export function foldInserted(weights: TrainedWeights, layers: readonly InsertedNormalization[]): TrainedWeights {
  const { parameterSlots, statisticSlots, statistics } = weights;
  const parameters = Float32Array.from(weights.parameters);
  const inserted = new Set(layers.flatMap(({ scale, shift, mean, variance }) => [scale, shift, mean, variance]));
  const part = (vector: Float32Array, slots: readonly Slot[], name: string): Float32Array => {
    const { offset, size } = slotOf(slots, name);
    return vector.subarray(offset, offset + size);
  };
  for (const layer of layers) {
    const [w, c, scale, shift] = [layer.weight, layer.bias, layer.scale, layer.shift].map((name) =>
      part(parameters, parameterSlots, name),
    ) as [Float32Array, Float32Array, Float32Array, Float32Array];
    const [mean, variance] = [layer.mean, layer.variance].map((name) => part(statistics, statisticSlots, name)) as [
      Float32Array,
      Float32Array,
    ];
    const inner = w.length / c.length;
    for (let channel = 0; channel < c.length; channel++) {
      const a = scale[channel]! / Math.sqrt(variance[channel]! + epsilon);
      for (let i = channel * inner; i < (channel + 1) * inner; i++) w[i]! *= a;
      c[channel] = a * (c[channel]! - mean[channel]!) + shift[channel]!;
    }
  }
  return {
    ...weights,
    parameters,
    statistics,
    parameterSlots: parameterSlots.filter(({ name }) => !inserted.has(name)),
    statisticSlots: statisticSlots.filter(({ name }) => !inserted.has(name)),
  };
}

function slotOf(slots: readonly Slot[], name: string): Slot {
  const slot = slots.find((each) => each.name === name);
  if (slot === undefined) throw new LowrankError('INTERNAL', `'${name}' is not trained`);
  return slot;
}
