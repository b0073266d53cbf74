import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { givenList, input, known } from './support/known.js';
import { squeezed } from './support/layout.js';

/** Without dimensions of 1: all, or those of `axes`, an attribute up to ai.onnx 12, an input since 13. */
export const squeeze: Operator = {
  opType: 'Squeeze',
  domain: '',
  gradient: rule(({ e, inputs, gradients: [dy] }) => [e.reshapeLike(dy!, inputs[0]!)]),
  infer: (context) => {
    const x = input(context, 0);
    const axes = givenList(context, 'axes', 1);
    if (axes === 'unknown') return undefined;
    return [known(x.dataType, squeezed(x.dims, axes === 'absent' ? undefined : axes), x.constant)];
  },
};
