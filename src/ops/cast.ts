import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { castTarget } from './support/cast-target.js';
import { input, known } from './support/known.js';

/** x as another type (ai.onnx 1, 6, 9, 13, 19, 21, 23; `to` is a name in 1). */
export const cast: Operator = {
  opType: 'Cast',
  domain: '',
  gradient: rule(({ e, inputs: [x], gradients: [dy] }) => [e.cast(dy!, e.typeOf(x!).dataType)]),
  infer: (context) => {
    const x = input(context, 0);
    return [known(castTarget(context.node) ?? x.dataType, x.dims, x.constant)];
  },
};
