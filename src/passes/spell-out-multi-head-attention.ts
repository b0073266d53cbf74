import { int } from '../graph/attributes.js';
import type { Graph } from '../graph/graph.js';
import type { Node, NodeSpec } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { INT64 } from '../onnx/data-type.js';
import { attentionParts } from './attention-parts.js';
import { inputDims, spellOutEach } from './replacement.js';
import type { Pass } from './runner.js';

type Dims = readonly number[];

/**
 * MultiHeadAttention (com.microsoft) becomes what it stands for, which is differentiated: softmax(q·kᵀ·scale + masks)·v. What goes on
 * from past keys, gives its keys on, or has queries, keys and values in one tensor stays. For ai.onnx 13 and later.
 */
export const spellOutMultiHeadAttention: Pass = {
  name: 'spell-out-multi-head-attention',
  summary: 'MultiHeadAttention of onnxruntime becomes products and Softmax',
  run: ({ graph }, { shapes, refuse }) =>
    spellOutEach(graph, refuse, (node) => {
      if (node.domain !== 'com.microsoft' || node.opType !== 'MultiHeadAttention') return undefined;
      const dims = inputDims(node, shapes);
      return obstacleOf(node, dims) ?? (() => spell(graph, node, dims));
    }),
};

function obstacleOf(node: Node, dims: readonly (Dims | undefined)[]): string | undefined {
  const [q, k, v, , mask] = dims;
  if (node.inputs.some((value, at) => value !== undefined && dims[at] === undefined)) return 'its shapes are not known';
  if (q?.length !== 3 || k === undefined || v === undefined || k.length === 5) return 'its keys are packed with others';
  if (node.inputs.slice(6).some((value) => value !== undefined)) return 'it goes on from past keys';
  if (node.outputs.slice(1).some((value) => value !== undefined && value.uses.length > 0)) return 'its keys are read';
  if (mask?.length === 1 && mask[0] !== q[0]) return 'its padding is given by positions';
  return undefined;
}

function spell(graph: Graph, node: Node, dims: readonly (Dims | undefined)[]): readonly NodeSpec[] {
  const { specs, emit, integers, scalar, apart, attend, together, causal } = attentionParts(graph, node);
  const heads = node.int('num_heads', 1);
  const [width, rows] = [dims[0]![2]!, dims[0]![1]!];
  const columns = dims[1]!.at(-2)!;
  const biased = (at: number): Value => {
    const [value, bias] = [node.inputs[at]!, node.inputs[3]];
    // Keys and values of four axes have their heads apart, and no bias.
    if (dims[at]!.length === 4) return value;
    if (bias === undefined) return apart(String(at), value, heads);
    const [start, size] = [at * width, dims[at]![2]!];
    const bounds = [start, start + size].map((place, i) => integers(`bias.${at}.${i}`, [place]));
    return apart(String(at), emit('Add', [value, emit('Slice', [bias, ...bounds])]), heads);
  };
  const hidden = node.float('mask_filter_value', -10000);
  const scale = node.float('scale', 0);
  const masked = (products: Value): Value => {
    const [padding, added] = [node.inputs[4], node.inputs[5]];
    let scores = added === undefined ? products : emit('Add', [products, added]);
    if (padding !== undefined) {
      const isSeen = seenKeys(padding, dims[4]!.length);
      scores = emit('Add', [scores, emit('Where', [isSeen, scalar('seen', 0), scalar('hidden', hidden)])]);
    }
    return node.int('unidirectional', 0) === 1 ? causal(scores, rows, columns, hidden) : scores;
  };
  /** Which keys a query sees, as [batch, 1, 1 or queries, keys]: of numbers above 0, or of how many keys there are. */
  const seenKeys = (padding: Value, rank: number): Value => {
    if (rank > 1) {
      const lists = emit('Cast', [padding], { to: int(INT64) });
      const isSeen = emit('Greater', [lists, integers('none', [0])]);
      return emit('Unsqueeze', [isSeen, integers('padding.axes', rank === 2 ? [1, 2] : [1])]);
    }
    const counts = emit('Unsqueeze', [
      emit('Cast', [padding], { to: int(INT64) }),
      integers('padding.axes', [1, 2, 3]),
    ]);
    const places = integers(
      'places',
      Array.from({ length: columns }, (_, place) => place),
    );
    return emit('Less', [places, counts]);
  };
  const [q, k, v] = [biased(0), biased(1), biased(2)];
  const factor = scale === 0 ? 1 / Math.sqrt(width / heads) : scale;
  together(attend(q, k, v, factor, masked), node.outputs[0]!);
  return specs;
}
