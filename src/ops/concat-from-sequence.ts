import { none } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';
import { unsqueezed } from './support/layout.js';
import { concatDims } from './support/select.js';
import { sequenceInput } from './support/sequence.js';

/** The tensors of a sequence one behind the other along an axis, or stacked on a new one (ai.onnx 11). */
export const concatFromSequence: Operator = {
  opType: 'ConcatFromSequence',
  domain: '',
  gradient: none('sequences of tensors have no gradients here'),
  infer: (context) => {
    const axis = context.node.int('axis', 0);
    const isNew = context.node.int('new_axis', 0) !== 0;
    const shapes = sequenceInput(context, 0).map(({ dims }) => (isNew ? unsqueezed(dims, [axis]) : dims));
    return [known(input(context, 0).dataType, concatDims(shapes, axis))];
  },
};
