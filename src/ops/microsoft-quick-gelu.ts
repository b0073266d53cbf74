import { elementwise } from './gradient.js';
import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';
import { swishSlope } from './support/gelu.js';

/** y = x·sigmoid(αx) (com.microsoft). */
export const microsoftQuickGelu: Operator = {
  opType: 'QuickGelu',
  domain: 'com.microsoft',
  gradient: elementwise((e, dy, x, _y, node) => e.mul(dy, swishSlope(e, x, node.float('alpha', 1.702)))),
  infer: likeFirstInput,
};
