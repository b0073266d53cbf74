import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';

/** y = x·Φ(x) (com.microsoft). */
export const microsoftGelu: Operator = { opType: 'Gelu', domain: 'com.microsoft', infer: likeFirstInput };
