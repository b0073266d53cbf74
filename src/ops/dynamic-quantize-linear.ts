import { FLOAT } from '../onnx/data-type.js';
import { quantized } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';

const UINT8 = 2;

/** x quantized to uint8 by its own range, with scale and zero point as scalars (ai.onnx 11). */
export const dynamicQuantizeLinear: Operator = {
  opType: 'DynamicQuantizeLinear',
  domain: '',
  gradient: quantized,
  infer: (context) => [known(UINT8, input(context, 0).dims), known(FLOAT, []), known(UINT8, [])],
};
