import { INT32 } from '../onnx/data-type.js';
import { convDims, convMacs } from './conv.js';
import { quantized } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';

/** Convolution of int8 to int32 (ai.onnx 10). Multiply-accumulates as Conv. */
export const convInteger: Operator = {
  opType: 'ConvInteger',
  domain: '',
  gradient: quantized,
  infer: (context) => [known(INT32, convDims(context, input(context, 0).dims, input(context, 1).dims))],
  macs: (_, inputs, outputs) => convMacs(inputs[1], outputs[0]),
};
