import { none } from './gradient.js';
import type { InferenceContext, Known, Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { input, known } from './support/known.js';
import { showDims } from './support/layout.js';

/** Sizes of q, k, v as [batch, heads, sequence, head size], whether they come so or as [batch, sequence, hidden]. */
function split(dims: readonly number[], heads: number): { heads: number; sequence: number; size: number } {
  if (dims.length === 4) return { heads: dims[1]!, sequence: dims[2]!, size: dims[3]! };
  if (dims.length !== 3 || heads < 1) throw shapeError(`attention over ${showDims(dims)} in ${heads} heads`);
  return { heads, sequence: dims[1]!, size: dims[2]! / heads };
}

function sizes(context: Pick<InferenceContext, 'node'>, shapes: readonly (readonly number[])[]) {
  const { node } = context;
  const q = split(shapes[0]!, node.int('q_num_heads', 0));
  const k = split(shapes[1]!, node.int('kv_num_heads', 0));
  const v = split(shapes[2]!, node.int('kv_num_heads', 0));
  return { q, k, v };
}

/**
 * softmax(q·kᵀ·scale + mask)·v (ai.onnx 23): y, present key and value, and the scores.
 * Multiply-accumulates: batch · heads · query length · key length · (head size of k + head size of v).
 */
export const attention: Operator = {
  opType: 'Attention',
  domain: '',
  gradient: none(
    'of past keys or with a softcap it is not spelled out; export the model with attention as MatMul and Softmax (opset 22 or lower)',
  ),
  infer: (context): Known[] => {
    const values = [0, 1, 2].map((index) => input(context, index));
    const { dataType, dims } = input(context, 0);
    const past = context.inputs[4]?.dims[2] ?? 0;
    const { q, k, v } = sizes(
      context,
      values.map((value) => value.dims),
    );
    const total = past + k.sequence;
    const y = dims.length === 4 ? [dims[0]!, q.heads, q.sequence, v.size] : [dims[0]!, q.sequence, q.heads * v.size];
    return [
      known(dataType, y),
      known(dataType, [dims[0]!, k.heads, total, k.size]),
      known(dataType, [dims[0]!, v.heads, total, v.size]),
      known(dataType, [dims[0]!, q.heads, q.sequence, total]),
    ];
  },
  macs: (node, inputs) => {
    const [a, b, c] = inputs;
    if (a === undefined || b === undefined || c === undefined) return 0;
    const { q, k, v } = sizes({ node }, [a.dims, b.dims, c.dims]);
    const total = (inputs[4]?.dims[2] ?? 0) + k.sequence;
    return a.dims[0]! * q.heads * q.sequence * total * (k.size + v.size);
  },
};
