import type { Graph } from '../graph/graph.js';
import { type Model, opsetOf } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { Tensor } from '../onnx/tensor.js';
import { resolveWeight } from '../ops/resolve-weight.js';
import { channelsOf } from './geometry.js';
import type { FactorizableLayer } from './layers.js';

/** Where a layer's bias is or would be: the input of a node, added to the outputs as they leave the layer times `factor`. */
interface BiasPlace {
  readonly node: Node;
  readonly index: number;
  /** undefined: there is none yet. */
  readonly value: Value | undefined;
  readonly dims: readonly number[];
  /** What a number added to the layer's products becomes there. */
  readonly factor: number;
}

/** Gemm takes its third input as an optional one from here on. */
const optionalSince = 11;

/** Whether numbers can be added to a layer's outputs by constants that the graph has, or has a place for. */
export function hasBiasPlace(model: Model, layer: FactorizableLayer): boolean {
  return placeOf(model, layer, layer.node) !== undefined;
}

/**
 * Adds `shift`, one number per neuron, to what `node` (the layer's own, or the second one of its pair) computes: in the bias
 * of a Conv or Gemm, or in the constant that an Add behind a MatMul adds. Nothing else that reads the old bias changes.
 */
export function shiftBias(model: Model, layer: FactorizableLayer, node: Node, shift: Float32Array): void {
  const place = placeOf(model, layer, node);
  if (place === undefined) return;
  const { graph } = model;
  const { index, value, dims, factor } = place;
  const old = value === undefined ? undefined : resolveWeight(graph, value)!.data();
  const data = shift.map((number, i) => (old?.[i] ?? 0) + factor * number);
  const { dataType } = layer.weight;
  const name = graph.uniqueName(`${value?.name ?? `${layer.weight.tensor.name || layer.name}.bias`}.shifted`);
  const shifted = graph.addInitializer(Tensor.ofFloats(name, dims, data, dataType));
  if (model.irVersion < 4) graph.addInput(name, { dataType, dims });
  graph.setInput(place.node, index, shifted);
  if (value !== undefined) graph.removeIfUnused(value);
}

function placeOf(model: Model, layer: FactorizableLayer, node: Node): BiasPlace | undefined {
  const { graph } = model;
  const { out } = channelsOf(layer.geometry);
  switch (layer.form) {
    case 'conv':
    case 'conv-transposed':
      return constantPlace(graph, node, 2, out, 1);
    case 'gemm': {
      const beta = node.float('beta', 1);
      const isMissing = node.inputs[2] === undefined;
      if (beta === 0 || (isMissing && opsetOf(model) < optionalSince)) return undefined;
      return constantPlace(graph, node, 2, out, node.float('alpha', 1) / beta);
    }
    case 'matmul-right':
    case 'matmul-left': {
      const [use, ...others] = node.outputs[0]!.uses;
      const isAlone = use !== undefined && others.length === 0 && use.index >= 0 && !node.outputs[0]!.isOutput;
      if (!isAlone || !use.node.is('Add') || layer.form === 'matmul-left') return undefined;
      const index = 1 - use.index;
      return use.node.inputs[index] === undefined ? undefined : constantPlace(graph, use.node, index, out, 1);
    }
  }
}

/** The input where it is a constant of one number per neuron, in the last dimension, or missing. */
function constantPlace(graph: Graph, node: Node, index: number, out: number, factor: number): BiasPlace | undefined {
  const value = node.inputs[index];
  if (value === undefined) return { node, index, value, dims: [out], factor };
  const weight = resolveWeight(graph, value);
  if (weight === undefined || weight.tensor.size !== out || weight.dims.at(-1) !== out) return undefined;
  return { node, index, value, dims: weight.dims, factor };
}
