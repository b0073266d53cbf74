import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { pullOf } from './support/cross-entropy-gradient.js';
import { input, known } from './support/known.js';

/** Minus the log-probability of the labels: a scalar, or one per label without reduction (ai.onnx 12, 13, 22). */
export const negativeLogLikelihoodLoss: Operator = {
  opType: 'NegativeLogLikelihoodLoss',
  domain: '',
  infer: (context) => {
    const isReduced = context.node.string('reduction', 'mean') !== 'none';
    return [known(input(context, 0).dataType, isReduced ? [] : input(context, 1).dims)];
  },
  gradient: rule((context) => {
    const { onehot, pull } = pullOf(context, context.gradients[0]!);
    return [context.e.neg(context.e.mul(onehot, pull))];
  }),
};
