import { quantized } from './gradient.js';
import type { Operator } from './operator.js';
import { inferQuantize } from './quantize-linear.js';

/** QuantizeLinear for 16-bit and 4-bit types (com.microsoft). */
export const microsoftQuantizeLinear: Operator = {
  opType: 'QuantizeLinear',
  domain: 'com.microsoft',
  gradient: quantized,
  infer: inferQuantize,
};
