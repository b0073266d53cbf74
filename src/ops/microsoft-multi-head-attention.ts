import { none } from './gradient.js';
import type { Known, Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { input, known } from './support/known.js';
import { showDims } from './support/layout.js';

/** Length and width, heads together, of keys or values [batch, sequence, width] or [batch, heads, sequence, size]. */
function rows(dims: readonly number[]): { readonly length: number; readonly width: number } {
  if (dims.length === 4) return { length: dims[2]!, width: dims[1]! * dims[3]! };
  if (dims.length !== 3) throw shapeError(`attention over ${showDims(dims)}`);
  return { length: dims[1]!, width: dims[2]! };
}

/**
 * softmax(q·kᵀ·scale + masks)·v (com.microsoft): y [batch, sequence, width of v], keys and values for what follows, and the scores.
 * Multiply-accumulates: batch · query length · key length · (width of k + width of v). Queries that are packed with keys and values in
 * one tensor are left to a run.
 */
export const microsoftMultiHeadAttention: Operator = {
  opType: 'MultiHeadAttention',
  domain: 'com.microsoft',
  gradient: none('of past keys, or with keys and values packed in one tensor, it is not spelled out'),
  infer: (context): (Known | undefined)[] | undefined => {
    const { dataType, dims } = input(context, 0);
    const [, key, value] = context.inputs;
    if (dims.length !== 3 || key === undefined || value === undefined) return undefined;
    const [k, v] = [rows(key.dims), rows(value.dims)];
    const [batch, sequence] = dims as [number, number];
    const heads = context.node.int('num_heads', 1);
    const total = (context.inputs[6]?.dims[2] ?? 0) + k.length;
    return [
      known(dataType, [batch, sequence, v.width]),
      known(dataType, [batch, heads, total, k.width / heads]),
      known(dataType, [batch, heads, total, v.width / heads]),
      known(dataType, [batch, heads, sequence, total]),
    ];
  },
  macs: (_, inputs) => {
    const [q, key, value] = inputs;
    if (q === undefined || key === undefined || value === undefined || q.dims.length !== 3) return 0;
    const [k, v] = [rows(key.dims), rows(value.dims)];
    return q.dims[0]! * q.dims[1]! * ((inputs[6]?.dims[2] ?? 0) + k.length) * (k.width + v.width);
  },
};
