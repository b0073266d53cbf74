import { none } from './gradient.js';
import type { Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { givenInput } from './support/known.js';
import { sequenceInput } from './support/sequence.js';

/** One tensor of a sequence, counted from its end where negative (ai.onnx 11). */
export const sequenceAt: Operator = {
  opType: 'SequenceAt',
  domain: '',
  gradient: none('sequences of tensors have no gradients here'),
  infer: (context) => {
    const tensors = sequenceInput(context, 0);
    const position = givenInput(context, 1);
    if (position === 'unknown') return undefined;
    const tensor = position === 'absent' ? undefined : tensors.at(position[0]!);
    if (tensor === undefined) throw shapeError(`no such place in a sequence of ${tensors.length}`);
    return [tensor];
  },
};
