import { none } from './gradient.js';
import type { Operator } from './operator.js';

/** Control flow (ai.onnx 1): its body may run any number of times, so its types are those declared, or those of a run. */
export const loopOperator: Operator = {
  opType: 'Loop',
  domain: '',
  gradient: none('it runs graphs of its own'),
  infer: () => undefined,
};
