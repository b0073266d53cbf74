import { int } from '../graph/attributes.js';
import type { Value } from '../graph/value.js';
import { INT64 } from '../onnx/data-type.js';
import type { Emitter } from '../ops/emitter.js';

export interface Loss {
  /** float32 scalar: the mean over the batch of −Σₖ tₖ log softmax(z)ₖ. */
  readonly loss: Value;
  /** int64 scalar: how many largest logits (the first of equal ones) are those of the labels. */
  readonly correct: Value;
  /** ∂loss/∂logits = (softmax(z) − t) / N, [N, K]. */
  readonly gradient: () => Value;
}

/**
 * Softmax cross-entropy with smoothed labels, t = (1 − smoothing) onehot(y) + smoothing / K (Szegedy et al., arXiv
 * 1512.00567), for `logits` [N, K] and `labels` int64 [N].
 */
export function crossEntropy(e: Emitter, logits: Value, labels: Value, smoothing: number): Loss {
  const classes = e.dims(logits)[1]!;
  const logProbabilities = e.emit('LogSoftmax', [logits], { axis: int(1) });
  const values = e.floats([smoothing / classes, 1 - smoothing + smoothing / classes]);
  const targets = e.emit('OneHot', [labels, e.ints([classes], []), values], { axis: int(-1) });
  const likelihoods = e.reduceSum(e.mul(logProbabilities, targets), [1], false);
  const mean = e.reduceMean(likelihoods, undefined, false);
  const predicted = e.emit('ArgMax', [logits], { axis: int(1), keepdims: int(0) });
  const hits = e.cast(e.emit('Equal', [predicted, labels]), INT64);
  return {
    loss: e.emit('Neg', [mean], {}, { name: 'loss' }),
    correct: e.emit('ReduceSum', [hits], { keepdims: int(0) }, { name: 'correct' }),
    gradient: () => e.div(e.sub(e.emit('Exp', [logProbabilities]), targets), e.count(logits, [0])),
  };
}
