import type { Model } from '../graph/model.js';
import type { Node, NodeSpec } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { inputDims, replacementOf, spellOutEach, splitLast } from './replacement.js';
import type { Pass } from './runner.js';

type Dims = readonly number[];

const kept = new Set(['num_heads', 'scale', 'mask_filter_value', 'unidirectional']);

/**
 * Attention (com.microsoft), which multiplies by the weights of queries, keys and values itself, becomes that product and
 * MultiHeadAttention, which onnxruntime computes in one piece too: its weight is a layer's then. What goes on from past keys, turns
 * its queries (rotary embedding) or has a mask that MultiHeadAttention does not take stays.
 */
export const spellOutProjections: Pass = {
  name: 'spell-out-projections',
  summary: 'Attention of onnxruntime becomes a product and MultiHeadAttention',
  run: (model, { shapes, refuse }) =>
    spellOutEach(model.graph, refuse, (node) => {
      if (node.domain !== 'com.microsoft' || node.opType !== 'Attention') return undefined;
      const dims = inputDims(node, shapes);
      return obstacleOf(node, dims) ?? (() => spell(model, node, dims[1]!));
    }),
};

function obstacleOf(node: Node, dims: readonly (Dims | undefined)[]): string | undefined {
  const [x, weight, , mask] = dims;
  if (node.inputs.some((value, at) => value !== undefined && dims[at] === undefined)) return 'its shapes are not known';
  if (x?.length !== 3 || weight?.length !== 2) return 'its shapes are not those of tokens and a matrix';
  if ([4, 6].some((at) => node.inputs[at] !== undefined)) return 'it goes on from past keys';
  if (node.outputs.slice(1).some((value) => value !== undefined && value.uses.length > 0)) return 'its keys are read';
  if (node.int('do_rotary', 0) !== 0) return 'it turns queries and keys';
  if (mask !== undefined && (mask.length > 3 || (mask.length === 1 && mask[0] !== x[0]))) {
    return `its mask_index has the shape [${mask.join(', ')}]`;
  }
  return undefined;
}

function spell(model: Model, node: Node, weightDims: Dims): readonly NodeSpec[] {
  const { graph } = model;
  const { specs, emit } = replacementOf(graph, node, 'qkv');
  const [x, weight, bias, mask, , added] = node.inputs;
  const product = emit('MatMul', [x!, weight!]);
  const projected = bias === undefined ? product : emit('Add', [product, bias]);
  const third = weightDims[1]! / 3;
  const sizes = node.ints('qkv_hidden_sizes') ?? [third, third, third];
  const parts = ['q', 'k', 'v'].map((name): Value => graph.addValue(graph.uniqueName(`${node.id}.${name}`)));
  specs.push(splitLast(model, { node: `${node.id}.qkv.split`, sizes: `${node.id}.sizes` }, projected, sizes, parts), {
    ...{ opType: 'MultiHeadAttention', domain: 'com.microsoft', name: graph.uniqueNodeName(node.id) },
    inputs: withoutTail([...parts, undefined, mask, added]),
    outputs: [node.outputs[0]],
    attributes: Object.fromEntries([...node.attributes].filter(([name]) => kept.has(name))),
  });
  return specs;
}

function withoutTail(inputs: readonly (Value | undefined)[]): readonly (Value | undefined)[] {
  const last = inputs.findLastIndex((value) => value !== undefined);
  return inputs.slice(0, last + 1);
}
