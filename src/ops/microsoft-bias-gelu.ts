import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';
import { biasedGeluGradient } from './support/gelu.js';

/** GELU of x + bias (com.microsoft). */
export const microsoftBiasGelu: Operator = {
  opType: 'BiasGelu',
  domain: 'com.microsoft',
  gradient: biasedGeluGradient(false),
  infer: likeFirstInput,
};
