import { INT64 } from '../onnx/data-type.js';
import { zero } from './gradient.js';
import type { Operator } from './operator.js';
import { known } from './support/known.js';
import { sequenceInput } from './support/sequence.js';

/** The number of tensors in a sequence (ai.onnx 11). */
export const sequenceLength: Operator = {
  opType: 'SequenceLength',
  domain: '',
  gradient: zero,
  infer: (context) => [known(INT64, [], [sequenceInput(context, 0).length])],
};
