import { LowrankError } from '../errors.js';
import { float } from '../graph/attributes.js';
import type { Graph } from '../graph/graph.js';
import { type Model, opsetOf } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { FLOAT } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import { resolveWeight } from '../ops/resolve-weight.js';
import { foldInto } from '../passes/fold-batch-normalization.js';
import { oldestOpset } from '../rewrite/statistics-graph.js';

/** Of each channel. */
export interface ChannelStatistics {
  readonly mean: ArrayLike<number>;
  readonly variance: ArrayLike<number>;
}

/** Far below any variance that tells something. */
const epsilon = 1e-12;

/** What reads the last convolutions of a model, which nothing normalized. */
const endReaders = new Set(['Reshape', 'Transpose', 'Flatten', 'Softmax', 'LogSoftmax']);

/** What a convolution gives. */
export interface FoldedOutput {
  readonly name: string;
  readonly channels: number;
  /** The name of its weight. */
  readonly weight: string;
}

/**
 * The outputs of convolutions that a BatchNormalization was folded into, by the looks of it: in a model that has none, those
 * of float32 with a stored weight and bias of their own that lead on to other layers. None of opsets below 7.
 */
export function foldedOutputs(model: Model): readonly FoldedOutput[] {
  const { graph } = model;
  if (opsetOf(model) < oldestOpset || graph.nodes.some((node) => node.is('BatchNormalization'))) return [];
  return graph.nodes.flatMap((node) => {
    const found = node.is('Conv') ? foldedOutput(graph, node) : undefined;
    return found === undefined ? [] : [found];
  });
}

function foldedOutput(graph: Graph, node: Node): FoldedOutput | undefined {
  const [y] = node.outputs;
  if (y === undefined || y.isOutput || y.uses.length === 0) return undefined;
  if (y.uses.some((use) => use.index < 0 || endReaders.has(use.node.opType))) return undefined;
  const [weight, bias] = [1, 2].map((index) => {
    const value = node.inputs[index];
    return value?.uses.length === 1 ? resolveWeight(graph, value) : undefined;
  });
  if (weight?.dataType !== FLOAT || bias?.dataType !== FLOAT) return undefined;
  const channels = weight.dims[0]!;
  return bias.tensor.size === channels ? { name: y.name, channels, weight: node.inputs[1]!.name } : undefined;
}

/** Puts a BatchNormalization behind each of the outputs, which keep their names; with these statistics it changes nothing. */
export function unfold({ graph }: Model, outputs: ReadonlyMap<string, ChannelStatistics>): void {
  for (const [name, { mean, variance }] of outputs) {
    const y = graph.value(name);
    const layer = y?.producer;
    if (y === undefined || layer === undefined) continue;
    const before = graph.addValue(graph.uniqueName(`${name}.before`));
    const constant = (part: string, values: ArrayLike<number>): Value =>
      graph.addInitializer(
        Tensor.ofFloats(graph.uniqueName(`${name}.${part}`), [values.length], Float32Array.from(values)),
      );
    const deviation = Array.from(variance, (each) => Math.sqrt(each + epsilon));
    const inputs = [
      before,
      constant('scale', deviation),
      constant('bias', mean),
      constant('mean', mean),
      constant('variance', variance),
    ];
    const { opType, inputs: own } = layer;
    const attributes = Object.fromEntries(layer.attributes);
    graph.replaceNode(layer, () => [
      { opType, name: layer.name, inputs: own, outputs: [before], attributes },
      {
        opType: 'BatchNormalization',
        name: graph.uniqueNodeName(`${name}.normalized`),
        inputs,
        outputs: [y],
        attributes: { epsilon: float(epsilon) },
      },
    ]);
  }
}

/** Takes them away again: what their statistics have become goes into the weights and biases. */
export function foldAgain(model: Model, outputs: Iterable<string>): void {
  for (const name of outputs) {
    const node = model.graph.value(name)?.producer;
    if (node?.is('BatchNormalization') !== true) continue;
    const obstacle = foldInto(model, node);
    if (obstacle !== undefined) throw new LowrankError('INTERNAL', `'${name}' is not folded again: ${obstacle}`);
  }
}
