import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';
import { flattened } from './support/layout.js';

/** Two dimensions, split before `axis` (ai.onnx 1; negative axes since 11). */
export const flatten: Operator = {
  opType: 'Flatten',
  domain: '',
  gradient: rule(({ e, inputs, gradients: [dy] }) => [e.reshapeLike(dy!, inputs[0]!)]),
  infer: (context) => {
    const x = input(context, 0);
    return [known(x.dataType, flattened(x.dims, context.node.int('axis', 1)), x.constant)];
  },
};
