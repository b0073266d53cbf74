import type { Node } from '../graph/node.js';
import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { batchNormInferenceGradient, batchNormTrainingGradient } from './support/batch-norm-gradient.js';
import { batchNormTraining } from './support/batch-norm-training.js';
import { input, known, requirePerChannel } from './support/known.js';

const isTraining = (node: Node): boolean => node.int('training_mode', 0) !== 0;

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
    // Up to ai.onnx 8 every element may have statistics of its own.
    if (context.node.int('spatial', 1) !== 0) requirePerChannel(context, [1, 2, 3, 4]);
    const statistics = Array.from({ length: context.node.outputs.length - 1 }, () => known(dataType, dims));
    return [known(x.dataType, x.dims), ...statistics];
  },
  training: batchNormTraining,
  gradient: rule((context) =>
    isTraining(context.node) ? batchNormTrainingGradient(context) : batchNormInferenceGradient(context),
  ),
};
