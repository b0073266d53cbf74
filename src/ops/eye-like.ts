import { zero } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';

/** The identity matrix of x's shape, of type `dtype` or x's (ai.onnx 9). */
export const eyeLike: Operator = {
  opType: 'EyeLike',
  domain: '',
  gradient: zero,
  infer: (context) => {
    const x = input(context, 0);
    return [known(context.node.int('dtype', x.dataType), x.dims)];
  },
};
