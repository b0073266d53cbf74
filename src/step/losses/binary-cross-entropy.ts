import { int } from '../../graph/attributes.js';
import { INT64 } from '../../onnx/data-type.js';
import type { Loss } from './loss.js';

/**
 * Mean over batch and classes of log(1 + exp z) − t·z, for `logits` [N, K] and `labels` float32 [N, K] of 0 and 1, as
 * torch.nn.BCEWithLogitsLoss has it; t = (1 − smoothing) label + smoothing / 2. Its gradient is (sigmoid(z) − t) / (N K).
 */
export const binaryCrossEntropy: Loss = {
  classes: 'any',
  targets: (classes) => [{ name: 'labels', type: 'float32', dims: [classes] }],
  emit: ({ e, tensors: { logits }, targets, smoothing }) => {
    const labels = targets['labels']!;
    const wanted = smoothing === 0 ? labels : e.add(e.scale(labels, 1 - smoothing), e.scalar(smoothing / 2));
    const terms = e.sub(e.emit('Softplus', [logits]), e.mul(wanted, logits));
    const predicted = e.emit('ArgMax', [logits], { axis: int(1), keepdims: int(1) });
    const hits = e.cast(e.emit('GatherElements', [labels, predicted], { axis: int(1) }), INT64);
    return {
      loss: e.emit('ReduceMean', [terms], { keepdims: int(0) }, { name: 'loss' }),
      correct: e.emit('ReduceSum', [hits], { keepdims: int(0) }, { name: 'correct' }),
      gradients: () => ({ logits: e.div(e.sub(e.emit('Sigmoid', [logits]), wanted), e.count(logits, [0, 1])) }),
    };
  },
};
