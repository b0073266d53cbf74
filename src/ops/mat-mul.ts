import type { Operator, TensorType } from './operator.js';
import { input, known } from './support/known.js';
import { sizeOf } from './support/layout.js';
import { matmulDims } from './support/matmul.js';

/** Every element of y is a sum over the inner size K, a's last dimension: size(y) · K. */
export function matmulMacs(a: TensorType | undefined, y: TensorType | undefined): number {
  return a === undefined || y === undefined ? 0 : sizeOf(y.dims) * (a.dims.at(-1) ?? 1);
}

/** numpy.matmul (ai.onnx 1, 9, 13). Multiply-accumulates: batch · M · N · K. */
export const matMul: Operator = {
  opType: 'MatMul',
  domain: '',
  infer: (context) => {
    const a = input(context, 0);
    return [known(a.dataType, matmulDims(a.dims, input(context, 1).dims))];
  },
  macs: (_, inputs, outputs) => matmulMacs(inputs[0], outputs[0]),
};
