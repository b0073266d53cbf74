import type { Attribute } from '../graph/attribute.js';
import type { Graph } from '../graph/graph.js';
import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { dataTypeName, DOUBLE, FLOAT16 } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import { type ResolvedWeight, resolveWeight } from '../ops/resolve-weight.js';
import type { Pass } from './runner.js';

/**
 * BatchNormalization in inference form is affine per channel, BN(y) = a·y + t with a = scale / √(variance + ε) and
 * t = bias − a·mean, so behind a linear layer it goes into the layer:
 *
 *     BN(W∗x + c)          = (a·W)∗x + (a·c + t)             Conv, ConvTranspose: a scales W per output channel
 *     BN(α·A·B′ + β·C)     = α·A·(B′·diag a) + (β·a·C + t)   Gemm; β becomes 1
 *
 * Computed in float64 and rounded once to the weight's type. Refused where the layer's own output is read elsewhere, where
 * a parameter is not stored in the model, in training form, and where float16 would overflow.
 */
export const foldBatchNormalization: Pass = {
  name: 'fold-batch-normalization',
  summary: 'BatchNormalization goes into the Conv, ConvTranspose or Gemm before it',
  run: (model: Model, { refuse }) => {
    const nodes = model.graph.nodes.filter((node) => node.is('BatchNormalization'));
    return nodes.filter((node) => {
      const obstacle = foldInto(model, node);
      if (obstacle !== undefined) refuse(node, obstacle);
      return obstacle === undefined;
    }).length;
  },
};

/** Folds one BatchNormalization into the layer before it; why not, where it stays. */
export function foldInto(model: Model, node: Node): string | undefined {
  const plan = planFold(model.graph, node);
  if (typeof plan === 'string') return plan;
  fold(model, node, plan);
  return undefined;
}

interface Affine {
  readonly a: Float64Array;
  readonly t: Float64Array;
}

interface Plan {
  readonly layer: Node;
  readonly weight: ResolvedWeight;
  readonly weightData: Float32Array;
  readonly biasData: Float32Array;
}

/** Layers that can take a factor per output channel: where the channel of a weight row lies, a row being `inner` elements. */
interface Form {
  readonly inner: (dims: readonly number[]) => number;
  readonly channelOf: (row: number, dims: readonly number[], layer: Node) => number;
}

const product = (dims: readonly number[]): number => dims.reduce((size, dim) => size * dim, 1);

const forms: ReadonlyMap<string, Form> = new Map<string, Form>([
  ['Conv', { inner: (dims) => product(dims.slice(1)), channelOf: (row) => row }],
  [
    'ConvTranspose',
    {
      // [C, M/group, …]: the C/group input channels of group g lead to the channels from g·M/group on.
      inner: (dims) => product(dims.slice(2)),
      channelOf: (row, [channels, perGroup], layer) => {
        const group = Math.floor(Math.floor(row / perGroup!) / (channels! / layer.int('group', 1)));
        return group * perGroup! + (row % perGroup!);
      },
    },
  ],
  [
    'Gemm',
    {
      inner: () => 1,
      channelOf: (row, dims, layer) => (isTransposed(layer) ? Math.floor(row / dims[1]!) : row % dims[1]!),
    },
  ],
]);

const isTransposed = (layer: Node): boolean => layer.int('transB', 0) !== 0;

/** What is to be written, or why nothing is. */
function planFold(graph: Graph, node: Node): Plan | string {
  if (node.int('training_mode', 0) !== 0 || node.outputs.slice(1).some((value) => value !== undefined)) {
    return 'it is in training form';
  }
  if (node.int('spatial', 1) === 0) return 'it normalizes every element on its own (spatial = 0)';
  const [x] = node.inputs;
  const layer = x?.producer;
  const form = layer?.domain === '' ? forms.get(layer.opType) : undefined;
  if (x === undefined || layer === undefined || form === undefined) {
    return `its input comes from ${layer?.label ?? 'outside'}, which is no Conv, ConvTranspose or Gemm`;
  }
  if (x.isOutput) return `'${x.name}' is an output of the model`;
  if (x.uses.length > 1) return `'${x.name}' has ${x.uses.length} readers`;
  const affine = affineOf(graph, node);
  if (typeof affine === 'string') return affine;
  const weight = layer.inputs[1] === undefined ? undefined : resolveWeight(graph, layer.inputs[1]);
  if (weight === undefined) return `the weight of ${layer.label} is not stored in the model`;
  if (weight.dataType === DOUBLE) return `the weight of ${layer.label} is float64`;
  const bias = biasOf(graph, layer, affine.a.length);
  if (typeof bias === 'string') return bias;
  const weightData = scaleRows(weight, layer, form, affine.a);
  const beta = layer.is('Gemm') ? layer.float('beta', 1) : 1;
  const biasData = Float32Array.from(affine.t, (t, i) => t + beta * affine.a[i]! * (bias[i] ?? 0));
  const largest = weight.dataType === FLOAT16 ? 65504 : Number.MAX_VALUE;
  const fits = (value: number): boolean => Math.abs(value) <= largest;
  if (!weightData.every(fits) || !biasData.every(fits)) {
    return `the folded weight would not be finite in ${dataTypeName(weight.dataType)}`;
  }
  return { layer, weight, weightData, biasData };
}

function affineOf(graph: Graph, node: Node): Affine | string {
  const data: Float32Array[] = [];
  for (const [i, name] of ['scale', 'bias', 'mean', 'variance'].entries()) {
    const value = node.inputs[i + 1];
    const stored = value === undefined ? undefined : resolveWeight(graph, value);
    if (stored === undefined) return `its ${name} is not stored in the model`;
    data.push(stored.data());
  }
  const [scale, bias, mean, variance] = data as [Float32Array, Float32Array, Float32Array, Float32Array];
  const epsilon = node.float('epsilon', 1e-5);
  const a = Float64Array.from(scale, (s, i) => s / Math.sqrt(variance[i]! + epsilon));
  const t = Float64Array.from(bias, (b, i) => b - a[i]! * mean[i]!);
  return { a, t };
}

/** One number per channel; all zeros where the layer has no bias. */
function biasOf(graph: Graph, layer: Node, channels: number): Float32Array | string {
  const value = layer.inputs[2];
  if (value === undefined) return new Float32Array(channels);
  const stored = resolveWeight(graph, value);
  if (stored === undefined) return `the bias of ${layer.label} is not stored in the model`;
  const data = stored.data();
  if (data.length === 1) return new Float32Array(channels).fill(data[0]!);
  if (data.length === channels && stored.dims.at(-1) === channels) return data;
  return `the bias of ${layer.label} is not one number per channel`;
}

function scaleRows({ dims, data }: ResolvedWeight, layer: Node, form: Form, a: Float64Array): Float32Array {
  const scaled = data();
  const inner = form.inner(dims);
  for (let row = 0, at = 0; at < scaled.length; row++) {
    const factor = a[form.channelOf(row, dims, layer)]!;
    for (const end = at + inner; at < end; at++) scaled[at] = factor * scaled[at]!;
  }
  return scaled;
}

/** The layer with its new weight and bias takes the place of the BatchNormalization and makes its output. */
function fold(model: Model, node: Node, { layer, weight, weightData, biasData }: Plan): void {
  const { graph } = model;
  const { dataType } = weight;
  const [x, oldWeight, oldBias] = layer.inputs;
  const base = weight.tensor.name === '' ? layer.id : weight.tensor.name;
  const newWeight = store(model, oldWeight, Tensor.ofFloats(`${base}.folded`, weight.dims, weightData, dataType));
  const biasName = base.endsWith('.weight') ? `${base.slice(0, -'.weight'.length)}.bias` : `${base}.bias`;
  const newBias = store(model, oldBias, Tensor.ofFloats(biasName, [biasData.length], biasData, dataType));
  const parameters = node.inputs.slice(1);
  const between = node.inputs[0]!;
  const attributes: Record<string, Attribute> = Object.fromEntries(layer.attributes);
  if (layer.is('Gemm')) attributes['beta'] = { type: 'float', value: 1 };
  graph.replaceNode(node, () => [
    { opType: layer.opType, name: layer.name, inputs: [x, newWeight, newBias], outputs: [node.outputs[0]], attributes },
  ]);
  graph.removeIfUnused(between);
  for (const value of parameters)
    if (value !== undefined && graph.value(value.name) === value) graph.removeIfUnused(value);
}

/** In the place of `old` where that is an initializer of this layer alone; else as a new initializer. */
function store(model: Model, old: Value | undefined, tensor: Tensor): Value {
  const { graph } = model;
  const isOwn = old?.tensor !== undefined && old.uses.length === 1 && !old.isOutput;
  const isSameSize = old?.tensor?.dims.join() === tensor.dims.join();
  if (isOwn && isSameSize) {
    graph.setTensor(old, tensor);
    return old;
  }
  const value = graph.addInitializer(tensor.renamed(graph.uniqueName(tensor.name)));
  // IR 3 and before list every initializer among the inputs.
  if (model.irVersion < 4) graph.addInput(value.name, { dataType: tensor.dataType, dims: tensor.dims });
  return value;
}
