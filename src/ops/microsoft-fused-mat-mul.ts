import { none } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';
import { sizeOf } from './support/layout.js';
import { matmulDims } from './support/matmul.js';

const swapLast = (dims: readonly number[]): readonly number[] =>
  dims.length < 2 ? dims : [...dims.slice(0, -2), dims.at(-1)!, dims.at(-2)!];

/**
 * α·A′·B′, A′ and B′ with their last two axes swapped if asked (com.microsoft). Multiply-accumulates: batch · M · N · K.
 * transBatchA and transBatchB are left to a run.
 */
export const microsoftFusedMatMul: Operator = {
  opType: 'FusedMatMul',
  domain: 'com.microsoft',
  gradient: none('onnxruntime makes it when it optimizes a model; train the model as it was exported'),
  infer: (context) => {
    const { node } = context;
    if (node.int('transBatchA', 0) !== 0 || node.int('transBatchB', 0) !== 0) return undefined;
    const a = input(context, 0);
    const b = input(context, 1).dims;
    const left = node.int('transA', 0) === 0 ? a.dims : swapLast(a.dims);
    return [known(a.dataType, matmulDims(left, node.int('transB', 0) === 0 ? b : swapLast(b)))];
  },
  macs: (node, [a], [y]) => {
    if (a === undefined || y === undefined) return 0;
    const inner = node.int('transA', 0) === 0 || a.dims.length < 2 ? a.dims.at(-1) : a.dims.at(-2);
    return sizeOf(y.dims) * (inner ?? 1);
  },
};
