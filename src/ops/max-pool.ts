import { INT64 } from '../onnx/data-type.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';
import { poolDims } from './support/pool.js';

/** The largest element of each window, and int64 indices of them (ai.onnx 1, 8, 10, 11, 12, 22). */
export const maxPool: Operator = {
  opType: 'MaxPool',
  domain: '',
  infer: (context) => {
    const x = input(context, 0);
    const dims = poolDims(context.node, x.dims);
    return [known(x.dataType, dims), known(INT64, dims)];
  },
};
