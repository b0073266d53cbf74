import { quantized } from './gradient.js';
import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';

/** Softmax of a quantized tensor (com.microsoft). */
export const microsoftQLinearSoftmax: Operator = {
  opType: 'QLinearSoftmax',
  domain: 'com.microsoft',
  gradient: quantized,
  infer: likeFirstInput,
};
