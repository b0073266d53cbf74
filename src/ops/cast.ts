import type { Operator } from './operator.js';
import { input, known } from './support/known.js';

/** x as another type (ai.onnx 6, 9, 13, 19, 21, 23). */
export const cast: Operator = {
  opType: 'Cast',
  domain: '',
  infer: (context) => {
    const x = input(context, 0);
    return [known(context.node.int('to', x.dataType), x.dims, x.constant)];
  },
};
