import type { Operator } from './operator.js';
import { input, known } from './support/known.js';

/** Cross entropy of scores and labels: a scalar, or one per label without reduction; and log Softmax (ai.onnx 12, 13). */
export const softmaxCrossEntropyLoss: Operator = {
  opType: 'SoftmaxCrossEntropyLoss',
  domain: '',
  infer: (context) => {
    const scores = input(context, 0);
    const isReduced = context.node.string('reduction', 'mean') !== 'none';
    return [known(scores.dataType, isReduced ? [] : input(context, 1).dims), known(scores.dataType, scores.dims)];
  },
};
