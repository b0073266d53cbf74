import { int, ints } from '../graph/attributes.js';
import type { Graph } from '../graph/graph.js';
import type { Node, NodeSpec } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { Tensor } from '../onnx/tensor.js';
import { type Replacement, replacementOf } from './replacement.js';

/** What attention is spelled out in, in the place of one node. For ai.onnx 13 and later. */
export interface AttentionParts {
  readonly specs: readonly NodeSpec[];
  readonly emit: Replacement['emit'];
  /** An int64 vector; `name` is used once. */
  integers(name: string, values: readonly number[]): Value;
  /** A float tensor; `name` is used once. */
  floats(name: string, dims: readonly number[], data: Float32Array): Value;
  scalar(name: string, value: number): Value;
  /** [batch, sequence, heads · size] as [batch, heads, sequence, size]. */
  apart(name: string, value: Value, heads: number): Value;
  /** softmax(masked(q·kᵀ·scale))·v, heads apart. */
  attend(q: Value, k: Value, v: Value, scale: number, masked: (scores: Value) => Value): Value;
  /** [batch, heads, sequence, size] as [batch, sequence, heads · size], which is `output`. */
  together(value: Value, output: Value): void;
  /** scores plus `hidden` where the key, of `columns`, comes after the query, of `rows`. */
  causal(scores: Value, rows: number, columns: number, hidden: number): Value;
}

export function attentionParts(graph: Graph, node: Node): AttentionParts {
  const { specs, emit } = replacementOf(graph, node, 'spelled');
  const nameOf = (name: string): string => graph.uniqueName(`${node.id}.${name}`);
  const integers = (name: string, values: readonly number[]): Value =>
    graph.addInitializer(Tensor.ofInts(nameOf(name), [values.length], values));
  const floats = (name: string, dims: readonly number[], data: Float32Array): Value =>
    graph.addInitializer(Tensor.ofFloats(nameOf(name), dims, data));
  const scalar = (name: string, value: number): Value => floats(name, [], Float32Array.of(value));
  return {
    specs,
    emit,
    integers,
    floats,
    scalar,
    apart: (name, value, heads) => {
      const split = emit('Reshape', [value, integers(`heads.${name}`, [0, 0, heads, -1])]);
      return emit('Transpose', [split], { perm: ints([0, 2, 1, 3]) });
    },
    attend: (q, k, v, scale, masked) => {
      const products = emit('MatMul', [q, emit('Transpose', [k], { perm: ints([0, 1, 3, 2]) })]);
      const scores = masked(emit('Mul', [products, scalar('scale', scale)]));
      return emit('MatMul', [emit('Softmax', [scores], { axis: int(-1) }), v]);
    },
    together: (value, output) => {
      const rows = emit('Transpose', [value], { perm: ints([0, 2, 1, 3]) });
      emit('Reshape', [rows, integers('together', [0, 0, -1])], {}, output);
    },
    causal: (scores, rows, columns, hidden) => {
      const later = Float32Array.from({ length: rows * columns }, (_, at) =>
        at % columns > Math.floor(at / columns) ? hidden : 0,
      );
      return emit('Add', [scores, floats('causal', [rows, columns], later)]);
    },
  };
}
