import { quantized } from './gradient.js';
import { matmulMacs } from './mat-mul.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';
import { matmulDims } from './support/matmul.js';

/** Quantized MatMul (ai.onnx 10): a, scale, zero point, b and its, y's. Multiply-accumulates as MatMul. */
export const qLinearMatMul: Operator = {
  opType: 'QLinearMatMul',
  domain: '',
  gradient: quantized,
  infer: (context) => {
    const dims = matmulDims(input(context, 0).dims, input(context, 3).dims);
    return [known(input(context, 7).dataType, dims)];
  },
  macs: (_, inputs, outputs) => matmulMacs(inputs[0], outputs[0]),
};
