import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';

/** GELU of x + bias (com.microsoft). */
export const microsoftBiasGelu: Operator = { opType: 'BiasGelu', domain: 'com.microsoft', infer: likeFirstInput };
