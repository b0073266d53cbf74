import { inferDequantize } from './dequantize-linear.js';
import { quantized } from './gradient.js';
import type { Operator } from './operator.js';

/** DequantizeLinear for 16-bit and 4-bit types (com.microsoft). */
export const microsoftDequantizeLinear: Operator = {
  opType: 'DequantizeLinear',
  domain: 'com.microsoft',
  gradient: quantized,
  infer: inferDequantize,
};
