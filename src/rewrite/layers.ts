import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import type { ShapeTable } from '../ops/infer.js';
import { type ResolvedWeight, resolveWeight } from '../ops/resolve-weight.js';
import { convLayer } from './conv-layer.js';
import { fullMacs, type Geometry, weightCount } from './geometry.js';
import { labelLayers } from './layer-label.js';
import {
  blockedDomain,
  commonRefusal,
  countOf,
  fixed,
  isQuantizedWeight,
  namesOf,
  noConstant,
  quantizedOps,
  typeOf,
  weightInputOf,
} from './layer-parts.js';

/** How a layer multiplies: y = W ∗ x (Conv), the adjoint of that (ConvTranspose), A·B (Gemm), x·W or W·x (MatMul). */
export type LayerForm = 'conv' | 'conv-transposed' | 'gemm' | 'matmul-right' | 'matmul-left';

/** Whether it has a window that moves over an image. */
export function isConvolution(form: LayerForm): boolean {
  return form === 'conv' || form === 'conv-transposed';
}

/** A node with a weight that this tool can replace by a pair. */
export interface FactorizableLayer {
  readonly kind: 'factorizable';
  readonly node: Node;
  readonly name: string;
  /** What people are shown: see `labelLayers`. */
  readonly label: string;
  /** Of the stored tensor; undefined where it is computed or has none. */
  readonly weightName: string | undefined;
  readonly form: LayerForm;
  readonly geometry: Geometry;
  readonly group: number;
  /** The node's weight input and what it resolves to. */
  readonly weightInput: number;
  readonly weight: ResolvedWeight;
  /** Elements of the node's own bias. */
  readonly biasCount: number;
  /** Of a transposed convolution: the sizes of the map that it reads and of the one that it gives, along each axis. */
  readonly maps?: { readonly input: readonly number[]; readonly output: readonly number[] };
}

/** A node with a weight that stays as it is, and why. */
export interface FixedLayer {
  readonly kind: 'fixed';
  readonly node: Node;
  readonly name: string;
  /** What people are shown: see `labelLayers`. */
  readonly label: string;
  /** Of the stored tensor; undefined where it is computed or has none. */
  readonly weightName: string | undefined;
  readonly reason: string;
  /** What could be found out. */
  readonly geometry: Geometry;
  readonly group: number;
  readonly params: number;
  readonly macs: number;
}

export type Layer = FactorizableLayer | FixedLayer;

const convolutions = new Set(['Conv', 'ConvTranspose', 'ConvInteger', 'QLinearConv', 'DeformConv', 'FusedConv']);
const products = new Set([
  'Gemm',
  'MatMul',
  'MatMulInteger',
  'QLinearMatMul',
  'QGemm',
  'FusedMatMul',
  'FusedGemm',
  'MatMulNBits',
]);
const layerDomains = new Set(['', 'com.microsoft', blockedDomain]);
/**
 * Every node with a constant weight, in graph order, those of functions where these are called. Products of two activations (attention) are no layers.
 * `shapes` must cover the nodes' inputs and outputs; a layer whose shapes are unknown is kept.
 */
export function findLayers(graph: Graph, shapes: ShapeTable): Layer[] {
  return labelLayers(layersOf(graph, shapes));
}

function layersOf(graph: Graph, shapes: ShapeTable): Layer[] {
  const layers: Layer[] = [];
  for (const node of graph.nodes) {
    const body = shapes.bodyOf(node);
    if (body !== undefined) layers.push(...findLayers(body.graph, body.shapes).map((layer) => insideOf(node, layer)));
    if (!layerDomains.has(node.domain)) continue;
    if (convolutions.has(node.opType)) layers.push(convLayer(graph, node, shapes));
    else if (products.has(node.opType) || (node.opType === 'Attention' && node.domain !== '')) {
      const layer = productLayer(graph, node, shapes);
      if (layer !== undefined) layers.push(layer);
    }
  }
  return layers;
}

/** A layer in the body of a function that `call` stands for: the body serves other calls too. */
function insideOf(call: Node, layer: Layer): FixedLayer {
  const { node, geometry, group } = layer;
  const reason = `inside of the function '${call.opType}' (onnx.inliner.inline_local_functions puts it in place)`;
  const [name, label] = [layer.name, layer.label].map((own) => `${call.id}/${own}`) as [string, string];
  return {
    kind: 'fixed',
    node,
    name,
    label,
    weightName: undefined,
    reason,
    geometry,
    group,
    ...layerCounts(layer),
  };
}

/** Parameters (weight and bias) and MACs of a layer as it stands. */
export function layerCounts(layer: Layer): { readonly params: number; readonly macs: number } {
  if (layer.kind === 'fixed') return { params: layer.params, macs: layer.macs };
  return { params: weightCount(layer.geometry) + layer.biasCount, macs: fullMacs(layer.geometry) };
}

function productLayer(graph: Graph, node: Node, shapes: ShapeTable): Layer | undefined {
  const at = weightInputOf(node);
  const [left, right] = [node.inputs[0], node.inputs[at]];
  const rightWeight = right === undefined ? undefined : resolveWeight(graph, right);
  const leftWeight = left === undefined ? undefined : resolveWeight(graph, left);
  const isLeft = rightWeight === undefined && leftWeight !== undefined;
  const weight = rightWeight ?? leftWeight;
  const output = typeOf(node.outputs[0], shapes);
  const bias = node.opType === 'Gemm' ? countOf(node.inputs[2], shapes) : 0;
  if (weight === undefined) {
    const isQuantized = quantizedOps.has(node.opType);
    if (!isQuantized && !isQuantizedWeight(right)) return undefined;
    const reason = isQuantized ? `quantized operator ${node.opType}` : noConstant(right);
    return fixed(node, reason, productDetails(right, output?.dims ?? [], bias, shapes));
  }
  // What Attention multiplies out are queries, keys and values, which it gives nowhere.
  const isInside = node.opType === 'Attention';
  const dims = isInside ? [...(output?.dims.slice(0, -1) ?? []), weight.dims.at(-1)!] : (output?.dims ?? []);
  const details = productDetails(isLeft ? left : right, dims, bias, shapes);
  if (quantizedOps.has(node.opType)) return fixed(node, `quantized operator ${node.opType}`, details);
  if (node.domain !== '') return fixed(node, `${node.opType} is not factorized`, details);
  if (rightWeight !== undefined && leftWeight !== undefined) return fixed(node, 'both factors are constant', details);
  const stack = stackOf(weight.dims, typeOf(node.inputs[isLeft ? at : 0], shapes)?.dims);
  if (stack === undefined) return fixed(node, `weight of ${weight.dims.length} dimensions`, details);
  const [first = 0, second = 0] = weight.dims.slice(-2);
  if (node.opType === 'Gemm' && isLeft) return fixed(node, 'the constant is the left factor of a Gemm', details);
  const outIsFirst = isLeft || (node.opType === 'Gemm' && node.int('transB', 0) === 1);
  const [out, inputs] = outIsFirst ? [first, second] : [second, first];
  const outputCount = (output?.dims ?? []).reduce((product, dim) => product * dim, 1);
  const group = stack.reduce((product, dim) => product * dim, 1);
  const positions = out * group === 0 ? 1 : outputCount / (out * group);
  const geometry: Geometry = {
    out: out * group,
    in: inputs * group,
    kernel: [1, 1],
    inputSize: [1, positions],
    outputSize: [1, positions],
    batch: 1,
    ...(stack.length === 0 ? {} : { groups: group, stack }),
  };
  const refusal = commonRefusal(weight, geometry, output !== undefined);
  if (refusal !== undefined) return fixed(node, refusal, { ...details, geometry });
  return {
    kind: 'factorizable',
    node,
    ...namesOf(node, isLeft ? 0 : 1),
    form: node.opType === 'Gemm' ? 'gemm' : isLeft ? 'matmul-left' : 'matmul-right',
    geometry,
    group,
    weightInput: isLeft ? 0 : 1,
    weight,
    biasCount: bias,
  };
}

/**
 * The axes of a product's weight in front of its matrices, each of which multiplies what is its own. A single matrix needs none where
 * the other factor has as many axes. undefined for vectors, and where the product would lose an axis.
 */
function stackOf(weight: readonly number[], other: readonly number[] | undefined): readonly number[] | undefined {
  if (weight.length < 2) return undefined;
  const stack = weight.slice(0, -2);
  if (stack.some((dim) => dim !== 1)) return stack;
  return stack.length === 0 || (other !== undefined && other.length >= weight.length) ? [] : undefined;
}

function productDetails(
  weight: Value | undefined,
  outputDims: readonly number[],
  bias: number,
  shapes: ShapeTable,
): Pick<FixedLayer, 'geometry' | 'params' | 'macs'> {
  const dims = typeOf(weight, shapes)?.dims ?? [];
  const elements = countOf(weight, shapes);
  const out = outputDims.at(-1) ?? 0;
  const inputs = out === 0 ? 0 : Math.round(elements / Math.max(1, out));
  const positions = outputDims.slice(0, -1).reduce((product, dim) => product * dim, 1);
  return {
    geometry: {
      out,
      in: dims.length === 2 ? inputs : (dims.at(-2) ?? 0),
      kernel: [1, 1],
      inputSize: [1, positions],
      outputSize: [1, positions],
      batch: 1,
    },
    params: elements + bias,
    macs: dims.length === 2 ? elements * positions : positions * out * (dims.at(-2) ?? 0),
  };
}
