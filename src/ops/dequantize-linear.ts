import { quantized } from './gradient.js';
import type { InferenceContext, Known, Operator } from './operator.js';
import { input, known } from './support/known.js';

/** As x, of the scale's type; of output_dtype where it is given. */
export function inferDequantize(context: InferenceContext): Known[] {
  const declared = context.node.int('output_dtype', 0);
  const dataType = declared === 0 ? input(context, 1).dataType : declared;
  return [known(dataType, input(context, 0).dims)];
}

/** y = (x − zero point) · scale (ai.onnx 10, 13, 19, 21, 23). */
export const dequantizeLinear: Operator = {
  opType: 'DequantizeLinear',
  domain: '',
  gradient: quantized,
  infer: inferDequantize,
};
