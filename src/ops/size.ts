import { INT64 } from '../onnx/data-type.js';
import { zero } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';
import { sizeOf } from './support/layout.js';

/** The number of elements of x (ai.onnx 1). */
export const size: Operator = {
  opType: 'Size',
  domain: '',
  gradient: zero,
  infer: (context) => [known(INT64, [], [sizeOf(input(context, 0).dims)])],
};
