import { attributesBesideWindow } from '../rewrite/emit.js';
import { groupsOf, kernelSizes } from '../rewrite/geometry.js';
import type { Pair } from '../rewrite/joined-layers.js';
import { isConvolution } from '../rewrite/layers.js';
import { windowAttributes } from '../rewrite/pair-window.js';
import { schemes } from '../rewrite/schemes/index.js';
import type { Attribute } from '../graph/attribute.js';
import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { DOUBLE } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import type { Floats } from '../ops/support/permute.js';

/** Why no single layer computes what the pair does; undefined where one does. */
export function obstacleOf(pair: Pair): string | undefined {
  if (pair.windows === undefined || windowAttributes(pair.windows, pair.first.group) !== undefined) return undefined;
  return 'padded by the size of the input along one axis, by numbers along the other';
}

/** `transB` of the single layer; 0 where it is no Gemm. */
export function transBOf(pair: Pair): number {
  return pair.last.form === 'gemm' ? pair.last.node.int('transB', 0) : 0;
}

/** Shape of the weight of the single layer. */
export function weightDims({ form, geometry }: Pair, outputMajor: boolean): readonly number[] {
  if (isConvolution(form)) return [geometry.out, geometry.in / groupsOf(geometry), ...kernelSizes(geometry)];
  const { stack = [] } = geometry;
  const [out, inputs] = [geometry.out, geometry.in].map((channels) => channels / groupsOf(geometry));
  return outputMajor ? [...stack, out!, inputs!] : [...stack, inputs!, out!];
}

/**
 * Adds the weight of the single layer in the element type of the pair's. It takes the name that the weight had before it was
 * factorized (`conv.weight.v` and `conv.weight.u` → `conv.weight`), where that is free.
 */
export function addMergedWeight(model: Model, pair: Pair, dims: readonly number[], data: Floats): Value {
  const { graph } = model;
  const { dataType } = pair.last.weight;
  const base = originalName(pair) ?? `${sourceName(pair.last)}.merged`;
  const name = graph.uniqueName(base);
  const value = graph.addInitializer(
    data instanceof Float64Array
      ? Tensor.of(name, DOUBLE, dims, new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
      : Tensor.ofFloats(name, dims, data, dataType),
  );
  // IR 3 and before list every initializer among the inputs.
  if (model.irVersion < 4) graph.addInput(name, { dataType, dims });
  return value;
}

/** The stem of `<stem>.v` and `<stem>.u`, the marks of the factors; all may end in a number that made them unique. */
function originalName({ factors, scheme }: Pair): string | undefined {
  const stems = schemes[scheme].factors.map(
    ({ mark }, at) => new RegExp(`^(.+)\\.${mark}(?:_\\d+)?$`).exec(sourceName(factors[at]!))?.[1],
  );
  const [name] = stems;
  return stems.every((stem) => stem === name) ? name : undefined;
}

function sourceName({ weight, name }: Pair['first']): string {
  return weight.source.name === '' ? name : weight.source.name;
}

/** Puts the single layer, with this weight, in the place of the pair. Weights that nothing else reads go. Returns its node. */
export function emitMerged(model: Model, pair: Pair, weight: Value): Node {
  const { graph } = model;
  const { last, form, op } = pair;
  const hidden = last.node.inputs[1 - last.weightInput]!;
  const oldWeight = last.node.inputs[last.weightInput]!;
  const { input, transA } = inputOf(pair);
  const bias = last.node.inputs.slice(2);
  const name = pair.record === undefined ? last.node.name : graph.uniqueNodeName(pair.record.name);
  const operands = form === 'matmul-left' ? [weight, input] : [input, weight, ...bias];
  const [node] = graph.replaceNode(last.node, () => [
    { opType: op, name, inputs: operands, outputs: [last.node.outputs[0]], attributes: attributesOf(pair, transA) },
  ]);
  // The layers before, Identities and weights go with it.
  graph.removeIfUnused(hidden);
  graph.removeIfUnused(oldWeight);
  return node!;
}

/** What the single layer reads, and whether a Gemm reads it transposed: a Transpose before the pair goes into the Gemm. */
function inputOf({ first, op }: Pair): { readonly input: Value; readonly transA: boolean } {
  const input = first.node.inputs[1 - first.weightInput]!;
  if (op !== 'Gemm') return { input, transA: false };
  if (first.node.int('transA', 0) !== 0) return { input, transA: true };
  const { producer } = input;
  const isOwn = producer?.is('Transpose') === true && input.uses.length === 1 && !input.isOutput;
  const source = isOwn ? producer.inputs[0] : undefined;
  // The input of a Gemm has two axes, so a Transpose that does anything swaps them.
  const swaps = (producer?.ints('perm') ?? [1, 0]).join() === '1,0';
  return source !== undefined && swaps ? { input: source, transA: true } : { input, transA: false };
}

function attributesOf(pair: Pair, transA: boolean): Record<string, Attribute> {
  const { first, last, windows } = pair;
  if (windows !== undefined) {
    return { ...attributesBesideWindow(last.node), ...windowAttributes(windows, last.group)! };
  }
  if (pair.op !== 'Gemm') return {};
  // α of the layers before is in the weight; α, β and transB are those of the last.
  const kept = last.form === 'gemm' ? Object.fromEntries(last.node.attributes) : {};
  const { transA: _, ...others } = kept;
  return transA || first.node.int('transA', 0) !== 0 ? { ...others, transA: { type: 'int', value: 1 } } : others;
}
