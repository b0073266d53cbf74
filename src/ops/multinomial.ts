import { INT32 } from '../onnx/data-type.js';
import { zero } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';

/** `sample_size` classes drawn for each row of log-probabilities (ai.onnx 7). */
export const multinomial: Operator = {
  opType: 'Multinomial',
  domain: '',
  gradient: zero,
  infer: (context) => {
    const { node } = context;
    return [known(node.int('dtype', INT32), [input(context, 0).dims[0] ?? 1, node.int('sample_size', 1)])];
  },
};
