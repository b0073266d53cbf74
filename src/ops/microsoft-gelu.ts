import { elementwise } from './gradient.js';
import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';
import { geluSlope } from './support/gelu.js';

/** y = x·Φ(x) (com.microsoft). */
export const microsoftGelu: Operator = {
  opType: 'Gelu',
  domain: 'com.microsoft',
  gradient: elementwise((e, dy, x) => e.mul(dy, geluSlope(e, x, false))),
  infer: likeFirstInput,
};
