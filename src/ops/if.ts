import { none } from './gradient.js';
import type { Operator } from './operator.js';

/** Control flow (ai.onnx 1): its two branches may differ, so its types are those declared, or those of a run. */
export const ifOperator: Operator = {
  opType: 'If',
  domain: '',
  gradient: none('it runs graphs of its own'),
  infer: () => undefined,
};
