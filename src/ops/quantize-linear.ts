import { quantized } from './gradient.js';
import type { InferenceContext, Known, Operator } from './operator.js';
import { input, known } from './support/known.js';

const UINT8 = 2;

/** As x, of the zero point's type; else of output_dtype, uint8 by default. */
export function inferQuantize(context: InferenceContext): Known[] {
  const declared = context.node.int('output_dtype', 0);
  const dataType = context.inputs[2]?.dataType ?? (declared === 0 ? UINT8 : declared);
  return [known(dataType, input(context, 0).dims)];
}

/** y = saturate(round(x / scale) + zero point) (ai.onnx 10, 13, 19, 21, 23). */
export const quantizeLinear: Operator = {
  opType: 'QuantizeLinear',
  domain: '',
  gradient: quantized,
  infer: inferQuantize,
};
