import type { Graph } from '../graph/graph.js';
import type { Node, NodeSpec } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { BOOL } from '../onnx/data-type.js';
import { attentionParts } from './attention-parts.js';
import { inputDims, spellOutEach } from './replacement.js';
import type { Pass } from './runner.js';

/**
 * Attention (ai.onnx 23, 24) becomes what it stands for, which is differentiated: softmax(q·kᵀ·scale + mask)·v, heads apart where they
 * come together, keys and values of groups repeated for the queries that share them. What goes on from past keys, or caps scores
 * softly, stays.
 */
export const spellOutAttention: Pass = {
  name: 'spell-out-attention',
  summary: 'Attention becomes products and Softmax',
  run: ({ graph }, { shapes, refuse }) =>
    spellOutEach(graph, refuse, (node) => {
      if (!node.is('Attention')) return undefined;
      const dims = inputDims(node, shapes).slice(0, 3);
      const mask = node.inputs[3] === undefined ? undefined : shapes.typeOf(node.inputs[3]);
      return (
        attentionObstacle(node, dims) ??
        (() => spellAttention(graph, node, dims as readonly (readonly number[])[], mask?.dataType))
      );
    }),
};

function attentionObstacle(node: Node, dims: readonly (readonly number[] | undefined)[]): string | undefined {
  if (dims.some((each) => each === undefined)) return 'its shapes are not known';
  if (node.inputs.slice(4).some((value) => value !== undefined)) return 'it goes on from past keys';
  if (node.outputs.slice(1).some((value) => value !== undefined && value.uses.length > 0)) return 'its keys are read';
  if (node.float('softcap', 0) !== 0) return 'it has a softcap';
  return undefined;
}

function spellAttention(
  graph: Graph,
  node: Node,
  dims: readonly (readonly number[])[],
  maskType: number | undefined,
): readonly NodeSpec[] {
  const { specs, emit, integers, scalar, apart, attend, together, causal } = attentionParts(graph, node);
  const isJoint = dims[0]!.length === 3;
  const headsOf = (at: number): number =>
    isJoint ? node.int(at === 0 ? 'q_num_heads' : 'kv_num_heads', 1) : dims[at]![1]!;
  const queries = headsOf(0);
  const split = (at: number): Value => (isJoint ? apart(String(at), node.inputs[at]!, headsOf(at)) : node.inputs[at]!);
  const repeated = (value: Value, at: number): Value => {
    const times = queries / headsOf(at);
    if (times === 1) return value;
    const grouped = emit('Unsqueeze', [value, integers(`group.${at}`, [2])]);
    const expanded = emit('Expand', [grouped, integers(`times.${at}`, [1, 1, times, 1, 1])]);
    const size = dims[at]!.at(-1)! / (isJoint ? headsOf(at) : 1);
    return emit('Reshape', [expanded, integers(`queries.${at}`, [0, queries, -1, size])]);
  };
  const [q, k, v] = [split(0), repeated(split(1), 1), repeated(split(2), 2)];
  const size = isJoint ? dims[0]!.at(-1)! / queries : dims[0]!.at(-1)!;
  const scale = node.attributes.has('scale') ? node.float('scale', 1) : 1 / Math.sqrt(size);
  const mask = node.inputs[3];
  const masked = (products: Value): Value => {
    let scores = products;
    if (mask !== undefined) {
      scores =
        maskType === BOOL ? emit('Where', [mask, scores, scalar('hidden', -Infinity)]) : emit('Add', [scores, mask]);
    }
    if (node.int('is_causal', 0) !== 1) return scores;
    return causal(scores, dims[0]!.at(-2)!, dims[1]!.at(-2)!, -Infinity);
  };
  const seen = attend(q, k, v, scale, masked);
  if (isJoint) together(seen, node.outputs[0]!);
  else emit('Identity', [seen], {}, node.outputs[0]);
  return specs;
}
