import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';

/** The upper or lower triangle of the last two axes (ai.onnx 14). */
export const trilu: Operator = {
  opType: 'Trilu',
  domain: '',
  gradient: rule(({ e, node, inputs: [, k], gradients: [dy] }) => [
    e.emit('Trilu', k === undefined ? [dy!] : [dy!, k], Object.fromEntries(node.attributes)),
  ]),
  infer: likeFirstInput,
};
