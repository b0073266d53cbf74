import type { Operator } from './operator.js';
import { input, known } from './support/known.js';

/**
 * y = (x − mean) / √(variance + ε) · scale + bias per channel (ai.onnx 7, 9, 14, 15). In training form it also gives the
 * running mean and variance (and, before 14, the saved ones), all [C].
 */
export const batchNormalization: Operator = {
  opType: 'BatchNormalization',
  domain: '',
  infer: (context) => {
    const x = input(context, 0);
    const { dataType, dims } = input(context, 3);
    const statistics = Array.from({ length: context.node.outputs.length - 1 }, () => known(dataType, dims));
    return [known(x.dataType, x.dims), ...statistics];
  },
};
