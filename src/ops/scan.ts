import { none } from './gradient.js';
import type { Operator } from './operator.js';

/** Control flow (ai.onnx 1): its body runs once per slice, so its types are those declared, or those of a run. */
export const scanOperator: Operator = {
  opType: 'Scan',
  domain: '',
  gradient: none('it runs graphs of its own'),
  infer: () => undefined,
};
