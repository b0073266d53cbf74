import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';

/** y = x·sigmoid(αx) (com.microsoft). */
export const microsoftQuickGelu: Operator = { opType: 'QuickGelu', domain: 'com.microsoft', infer: likeFirstInput };
