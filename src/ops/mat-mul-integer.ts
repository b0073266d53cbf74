import { INT32 } from '../onnx/data-type.js';
import { quantized } from './gradient.js';
import { matmulMacs } from './mat-mul.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';
import { matmulDims } from './support/matmul.js';

/** MatMul of int8 to int32 (ai.onnx 10). Multiply-accumulates as MatMul. */
export const matMulInteger: Operator = {
  opType: 'MatMulInteger',
  domain: '',
  gradient: quantized,
  infer: (context) => [known(INT32, matmulDims(input(context, 0).dims, input(context, 1).dims))],
  macs: (_, inputs, outputs) => matmulMacs(inputs[0], outputs[0]),
};
