import { int } from '../graph/attributes.js';
import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';

/** Running sums along an axis (ai.onnx 11). */
export const cumSum: Operator = {
  opType: 'CumSum',
  domain: '',
  gradient: rule(({ e, node, inputs: [, axis], gradients: [dy] }) => [
    e.emit('CumSum', [dy!, axis!], {
      exclusive: int(node.int('exclusive', 0)),
      reverse: int(node.int('reverse', 0) === 0 ? 1 : 0),
    }),
  ]),
  infer: likeFirstInput,
};
