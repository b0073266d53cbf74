import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { broadcast, stretch } from './support/broadcast.js';
import { shapeError } from './support/fail.js';
import { givenInput, input, isSmall, known } from './support/known.js';

/** x broadcast with a shape, in both directions (ai.onnx 8, 13). */
export const expand: Operator = {
  opType: 'Expand',
  domain: '',
  gradient: rule(({ e, inputs: [x], gradients: [dy] }) => [e.sumTo(dy!, x!)]),
  infer: (context) => {
    const x = input(context, 0);
    const shape = givenInput(context, 1);
    if (shape === 'unknown') return undefined;
    if (shape === 'absent') throw shapeError('Expand without a shape');
    const dims = broadcast(x.dims, shape);
    const constant = x.constant !== undefined && isSmall(dims) ? stretch(x.constant, x.dims, dims) : undefined;
    return [known(x.dataType, dims, constant)];
  },
};
