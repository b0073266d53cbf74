import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { givenList, input, known } from './support/known.js';
import { unsqueezed } from './support/layout.js';

/** With dimensions of 1 at `axes` of the result: an attribute up to ai.onnx 12, an input since 13. */
export const unsqueeze: Operator = {
  opType: 'Unsqueeze',
  domain: '',
  gradient: rule(({ e, inputs, gradients: [dy] }) => [e.reshapeLike(dy!, inputs[0]!)]),
  infer: (context) => {
    const x = input(context, 0);
    const axes = givenList(context, 'axes', 1);
    if (axes === 'unknown') return undefined;
    if (axes === 'absent') throw shapeError('Unsqueeze without axes');
    return [known(x.dataType, unsqueezed(x.dims, axes), x.constant)];
  },
};
