import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';

/** Sequences of batches reversed up to their lengths (ai.onnx 10). */
export const reverseSequence: Operator = {
  opType: 'ReverseSequence',
  domain: '',
  gradient: rule(({ e, node, inputs: [, lengths], gradients: [dy] }) => [
    e.emit('ReverseSequence', [dy!, lengths!], Object.fromEntries(node.attributes)),
  ]),
  infer: likeFirstInput,
};
