import { INT64 } from '../onnx/data-type.js';
import { zero } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';

/** The dims of x, from `start` to `end` (ai.onnx 1; start and end since 15). */
export const shape: Operator = {
  opType: 'Shape',
  domain: '',
  gradient: zero,
  infer: (context) => {
    const { dims } = input(context, 0);
    const chosen = dims.slice(context.node.int('start', 0), context.node.int('end', dims.length));
    return [known(INT64, [chosen.length], chosen)];
  },
};
