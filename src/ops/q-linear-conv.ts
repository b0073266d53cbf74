import { convDims, convMacs } from './conv.js';
import { quantized } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';

/** Quantized convolution (ai.onnx 10): x, its scale and zero point, w and its, y's, bias. Multiply-accumulates as Conv. */
export const qLinearConv: Operator = {
  opType: 'QLinearConv',
  domain: '',
  gradient: quantized,
  infer: (context) => {
    const dims = convDims(context, input(context, 0).dims, input(context, 3).dims);
    return [known(input(context, 7).dataType, dims)];
  },
  macs: (_, inputs, outputs) => convMacs(inputs[3], outputs[0]),
};
