import { none } from './gradient.js';
import type { InferenceContext, Known, Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { input, known } from './support/known.js';
import { showDims, sizeOf } from './support/layout.js';

/** Widths of queries, keys and values. */
function widths({ node }: Pick<InferenceContext, 'node'>, weight: readonly number[]): readonly number[] {
  const third = (weight[1] ?? 0) / 3;
  const sizes = node.ints('qkv_hidden_sizes') ?? [third, third, third];
  if (weight.length !== 2 || sizes.length !== 3 || sizes.reduce((sum, size) => sum + size, 0) !== weight[1]) {
    throw shapeError(`weights ${showDims(weight)} for queries, keys and values of ${sizes.join(', ')}`);
  }
  return sizes;
}

/**
 * softmax(q·kᵀ·scale + masks)·v with q, k, v = x·W + b (com.microsoft): y [batch, sequence, width of v], and keys and values for what
 * follows. Multiply-accumulates: those of x·W, and batch · query length · key length · (width of k + width of v).
 */
export const microsoftAttention: Operator = {
  opType: 'Attention',
  domain: 'com.microsoft',
  gradient: none('of past keys, rotary embeddings or a mask of positions it is not spelled out'),
  infer: (context): (Known | undefined)[] => {
    const { dataType, dims } = input(context, 0);
    const [, , values] = widths(context, input(context, 1).dims);
    if (dims.length !== 3) throw shapeError(`attention over ${showDims(dims)}`);
    const [batch, sequence] = dims as [number, number];
    const heads = context.node.int('num_heads', 1);
    const past = context.inputs[4]?.dims[3] ?? 0;
    const present = known(dataType, [2, batch, heads, past + sequence, values! / heads]);
    return [known(dataType, [batch, sequence, values!]), present];
  },
  macs: (node, inputs) => {
    const [x, weight] = inputs;
    if (x === undefined || weight === undefined) return 0;
    const [, keys, values] = widths({ node }, weight.dims);
    const [batch, sequence] = x.dims as [number, number];
    const total = (inputs[4]?.dims[3] ?? 0) + sequence;
    return batch * sequence * (sizeOf(weight.dims) + total * (keys! + values!));
  },
};
