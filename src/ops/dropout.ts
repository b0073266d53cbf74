import { BOOL } from '../onnx/data-type.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';

/** y = x with elements dropped in training, and the mask: bool since ai.onnx 10, of x's type before (ratio an input since 12). */
export const dropout: Operator = {
  opType: 'Dropout',
  domain: '',
  infer: (context) => {
    const x = input(context, 0);
    return [known(x.dataType, x.dims), known(context.opset < 10 ? x.dataType : BOOL, x.dims)];
  },
};
