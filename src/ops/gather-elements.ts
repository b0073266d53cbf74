import type { Operator } from './operator.js';
import { input, known } from './support/known.js';

/** One element of x for each of `indices`, along an axis (ai.onnx 11). */
export const gatherElements: Operator = {
  opType: 'GatherElements',
  domain: '',
  infer: (context) => [known(input(context, 0).dataType, input(context, 1).dims)],
};
