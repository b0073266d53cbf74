import { int } from '../../graph/attributes.js';
import { INT64 } from '../../onnx/data-type.js';
import type { Loss } from './loss.js';

/**
 * Softmax cross-entropy, the mean over the batch of −Σₖ tₖ log softmax(z)ₖ, with smoothed labels, t = (1 − smoothing) onehot(y) + smoothing / K (Szegedy et al., arXiv
 * 1512.00567), for `logits` [N, K] and `labels` int64 [N]. Its gradient is (softmax(z) − t) / N.
 */
export const crossEntropy: Loss = {
  classes: 'one',
  targets: () => [{ name: 'labels', type: 'int64', dims: [] }],
  emit: ({ e, tensors: { logits }, targets, smoothing }) => {
    const labels = targets['labels']!;
    const classes = e.dims(logits)[1]!;
    const logProbabilities = e.emit('LogSoftmax', [logits], { axis: int(1) });
    const values = e.floats([smoothing / classes, 1 - smoothing + smoothing / classes]);
    const wanted = e.emit('OneHot', [labels, e.ints([classes], []), values], { axis: int(-1) });
    const likelihoods = e.reduceSum(e.mul(logProbabilities, wanted), [1], false);
    const mean = e.reduceMean(likelihoods, undefined, false);
    const predicted = e.emit('ArgMax', [logits], { axis: int(1), keepdims: int(0) });
    const hits = e.cast(e.emit('Equal', [predicted, labels]), INT64);
    return {
      loss: e.emit('Neg', [mean], {}, { name: 'loss' }),
      correct: e.emit('ReduceSum', [hits], { keepdims: int(0) }, { name: 'correct' }),
      gradients: () => ({
        logits: e.div(e.sub(e.emit('Exp', [logProbabilities]), wanted), e.count(logits, [0])),
      }),
    };
  },
};
