import { zero } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';

/** 1 with the probability that x says, else 0, of type `dtype` or x's (ai.onnx 15). */
export const bernoulli: Operator = {
  opType: 'Bernoulli',
  domain: '',
  gradient: zero,
  infer: (context) => {
    const x = input(context, 0);
    return [known(context.node.int('dtype', x.dataType), x.dims)];
  },
};
