import { int, ints } from '../graph/attributes.js';
import type { Graph } from '../graph/graph.js';
import type { Node, NodeSpec } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { BOOL } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import { replacementOf } from './replacement.js';
import type { Pass } from './runner.js';

/**
 * Attention (ai.onnx 23, 24) becomes what it stands for, which is differentiated: softmax(q·kᵀ·scale + mask)·v, heads apart where they
 * come together, keys and values of groups repeated for the queries that share them. What goes on from past keys, or caps scores
 * softly, stays.
 */
export const spellOutAttention: Pass = {
  name: 'spell-out-attention',
  summary: 'Attention becomes products and Softmax',
  run: ({ graph }, { shapes, refuse }) => {
    let changes = 0;
    for (const node of [...graph.nodes]) {
      if (!node.is('Attention')) continue;
      const dims = node.inputs
        .slice(0, 3)
        .map((value) => (value === undefined ? undefined : shapes.typeOf(value)?.dims));
      const obstacle = attentionObstacle(node, dims);
      if (obstacle !== undefined) {
        refuse(node, obstacle);
        continue;
      }
      const mask = node.inputs[3] === undefined ? undefined : shapes.typeOf(node.inputs[3]);
      graph.replaceNode(node, () =>
        spellAttention(graph, node, dims as readonly (readonly number[])[], mask?.dataType),
      );
      changes++;
    }
    return changes;
  },
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
  const { specs, emit } = replacementOf(graph, node, 'spelled');
  const numbers = (name: string, values: readonly number[], data?: Float32Array): Value => {
    const own = graph.uniqueName(`${node.id}.${name}`);
    return graph.addInitializer(
      data === undefined ? Tensor.ofInts(own, [values.length], values) : Tensor.ofFloats(own, values, data),
    );
  };
  const scalar = (name: string, value: number): Value => numbers(name, [], Float32Array.of(value));
  const isJoint = dims[0]!.length === 3;
  const headsOf = (at: number): number =>
    isJoint ? node.int(at === 0 ? 'q_num_heads' : 'kv_num_heads', 1) : dims[at]![1]!;
  const queries = headsOf(0);
  /** [batch, heads, sequence, size]; 0: as it comes. */
  const apart = (at: number): Value => {
    const value = node.inputs[at]!;
    if (!isJoint) return value;
    const split = emit('Reshape', [value, numbers(`heads.${at}`, [0, 0, headsOf(at), -1])]);
    return emit('Transpose', [split], { perm: ints([0, 2, 1, 3]) });
  };
  const repeated = (value: Value, at: number): Value => {
    const times = queries / headsOf(at);
    if (times === 1) return value;
    const grouped = emit('Unsqueeze', [value, numbers(`group.${at}`, [2])]);
    const expanded = emit('Expand', [grouped, numbers(`times.${at}`, [1, 1, times, 1, 1])]);
    const size = dims[at]!.at(-1)! / (isJoint ? headsOf(at) : 1);
    return emit('Reshape', [expanded, numbers(`queries.${at}`, [0, queries, -1, size])]);
  };
  const [q, k, v] = [apart(0), repeated(apart(1), 1), repeated(apart(2), 2)];
  const size = isJoint ? dims[0]!.at(-1)! / queries : dims[0]!.at(-1)!;
  const scale = node.attributes.has('scale') ? node.float('scale', 1) : 1 / Math.sqrt(size);
  const products = emit('MatMul', [q, emit('Transpose', [k], { perm: ints([0, 1, 3, 2]) })]);
  let scores = emit('Mul', [products, scalar('scale', scale)]);
  const mask = node.inputs[3];
  if (mask !== undefined) {
    scores =
      maskType === BOOL ? emit('Where', [mask, scores, scalar('hidden', -Infinity)]) : emit('Add', [scores, mask]);
  }
  if (node.int('is_causal', 0) === 1) {
    const [rows, cols] = [dims[0]!.at(-2)!, dims[1]!.at(-2)!];
    const later = Float32Array.from({ length: rows * cols }, (_, at) =>
      at % cols > Math.floor(at / cols) ? -Infinity : 0,
    );
    scores = emit('Add', [scores, numbers('causal', [rows, cols], later)]);
  }
  const weights = emit('Softmax', [scores], { axis: int(-1) });
  if (!isJoint) {
    emit('MatMul', [weights, v], {}, node.outputs[0]);
    return specs;
  }
  const together = emit('Transpose', [emit('MatMul', [weights, v])], { perm: ints([0, 2, 1, 3]) });
  emit('Reshape', [together, numbers('together', [0, 0, -1])], {}, node.outputs[0]);
  return specs;
}
