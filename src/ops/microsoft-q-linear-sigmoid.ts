import { quantized } from './gradient.js';
import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';

/** Sigmoid of a quantized tensor (com.microsoft). */
export const microsoftQLinearSigmoid: Operator = {
  opType: 'QLinearSigmoid',
  domain: 'com.microsoft',
  gradient: quantized,
  infer: likeFirstInput,
};
