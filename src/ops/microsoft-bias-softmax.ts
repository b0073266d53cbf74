import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';

/** Softmax of x + bias (com.microsoft). */
export const microsoftBiasSoftmax: Operator = { opType: 'BiasSoftmax', domain: 'com.microsoft', infer: likeFirstInput };
