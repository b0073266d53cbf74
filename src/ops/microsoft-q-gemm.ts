import { FLOAT } from '../onnx/data-type.js';
import { gemmMacs } from './gemm.js';
import { quantized } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';
import { gemmDims } from './support/matmul.js';

/**
 * Quantized Gemm: a, scale, zero point, b and its, c, y's scale and zero point; float32 without the last (com.microsoft).
 * Multiply-accumulates: M · N · K.
 */
export const microsoftQGemm: Operator = {
  opType: 'QGemm',
  domain: 'com.microsoft',
  gradient: quantized,
  infer: (context) => {
    const { node } = context;
    const a = input(context, 0).dims;
    const b = input(context, 3).dims;
    const { m, n } = gemmDims(a, b, node.int('transA', 0) !== 0, node.int('transB', 0) !== 0);
    return [known(context.inputs[8]?.dataType ?? FLOAT, [m, n])];
  },
  macs: (_, inputs, outputs) => gemmMacs(inputs[0], outputs[0]),
};
