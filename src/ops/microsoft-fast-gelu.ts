import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';
import { biasedGeluGradient } from './support/gelu.js';

/** The tanh approximation of GELU, of x + bias (com.microsoft). */
export const microsoftFastGelu: Operator = {
  opType: 'FastGelu',
  domain: 'com.microsoft',
  gradient: biasedGeluGradient(true),
  infer: likeFirstInput,
};
