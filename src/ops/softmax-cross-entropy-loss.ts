import { int } from '../graph/attributes.js';
import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { pullOf } from './support/cross-entropy-gradient.js';
import { unsupported } from './support/fail.js';
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
  // d(scores) = pull · (Softmax − onehot).
  gradient: rule((context) => {
    const { e, node, inputs, gradients } = context;
    if (gradients[0] === undefined || gradients[1] !== undefined) {
      throw unsupported(node, 'the second output of SoftmaxCrossEntropyLoss has no gradient');
    }
    const { onehot, pull } = pullOf(context, gradients[0]);
    return [e.mul(e.sub(e.emit('Softmax', [inputs[0]], { axis: int(1) }), onehot), pull)];
  }),
};
