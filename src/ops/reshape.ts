import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { givenList, input, known } from './support/known.js';
import { reshaped } from './support/layout.js';

/** The same elements in another shape: an attribute in ai.onnx 1, an input since 5; 0 copies, −1 infers; allowzero since 14. */
export const reshape: Operator = {
  opType: 'Reshape',
  domain: '',
  gradient: rule(({ e, inputs, gradients: [dy] }) => [e.reshapeLike(dy!, inputs[0]!)]),
  infer: (context) => {
    const x = input(context, 0);
    const shape = givenList(context, 'shape', 1);
    if (shape === 'unknown') return undefined;
    if (shape === 'absent') throw shapeError('Reshape without a shape');
    return [known(x.dataType, reshaped(x.dims, shape, context.node.int('allowzero', 0) !== 0), x.constant)];
  },
};
