import { none } from './gradient.js';
import type { Operator } from './operator.js';
import { input } from './support/known.js';
import { sequenceOf } from './support/sequence.js';

/** A sequence of the inputs (ai.onnx 11). */
export const sequenceConstruct: Operator = {
  opType: 'SequenceConstruct',
  domain: '',
  gradient: none('sequences of tensors have no gradients here'),
  infer: (context) => {
    const tensors = context.inputs.map((_, index) => input(context, index));
    return [sequenceOf(input(context, 0).dataType, tensors)];
  },
};
