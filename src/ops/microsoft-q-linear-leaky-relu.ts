import { quantized } from './gradient.js';
import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';

/** LeakyRelu of a quantized tensor (com.microsoft). */
export const microsoftQLinearLeakyRelu: Operator = {
  opType: 'QLinearLeakyRelu',
  domain: 'com.microsoft',
  gradient: quantized,
  infer: likeFirstInput,
};
