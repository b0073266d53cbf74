import { int } from '../graph/attributes.js';
import type { Value } from '../graph/value.js';
import { FLOAT, INT64 } from '../onnx/data-type.js';
import type { Emitter } from '../ops/emitter.js';

export const lossNames = ['cross-entropy', 'binary-cross-entropy'] as const;
export type LossName = (typeof lossNames)[number];

export interface Loss {
  /** float32 scalar. */
  readonly loss: Value;
  /** int64 scalar: how many largest logits (the first of equal ones) are those of a label. */
  readonly correct: Value;
  /** ∂loss/∂logits, [N, K]. */
  readonly gradient: () => Value;
}

/** What labels are to a loss: the class of each image, or 0 or 1 for each image and class. */
export function labelsOf(
  loss: LossName,
  batch: number,
  classes: number,
): { readonly dataType: number; readonly dims: number[] } {
  return loss === 'cross-entropy' ? { dataType: INT64, dims: [batch] } : { dataType: FLOAT, dims: [batch, classes] };
}

/** The loss of that name. */
export function lossOf(name: LossName): (e: Emitter, logits: Value, labels: Value, smoothing: number) => Loss {
  return name === 'cross-entropy' ? crossEntropy : binaryCrossEntropy;
}

/**
 * Mean over batch and classes of log(1 + exp z) − t·z, for `logits` [N, K] and `labels` float32 [N, K] of 0 and 1, as
 * torch.nn.BCEWithLogitsLoss has it; t = (1 − smoothing) label + smoothing / 2. Its gradient is (sigmoid(z) − t) / (N K).
 */
function binaryCrossEntropy(e: Emitter, logits: Value, labels: Value, smoothing: number): Loss {
  const targets = smoothing === 0 ? labels : e.add(e.scale(labels, 1 - smoothing), e.scalar(smoothing / 2));
  const terms = e.sub(e.emit('Softplus', [logits]), e.mul(targets, logits));
  const predicted = e.emit('ArgMax', [logits], { axis: int(1), keepdims: int(1) });
  const hits = e.cast(e.emit('GatherElements', [labels, predicted], { axis: int(1) }), INT64);
  return {
    loss: e.emit('ReduceMean', [terms], { keepdims: int(0) }, { name: 'loss' }),
    correct: e.emit('ReduceSum', [hits], { keepdims: int(0) }, { name: 'correct' }),
    gradient: () => e.div(e.sub(e.emit('Sigmoid', [logits]), targets), e.count(logits, [0, 1])),
  };
}

/**
 * Softmax cross-entropy, the mean over the batch of −Σₖ tₖ log softmax(z)ₖ, with smoothed labels, t = (1 − smoothing) onehot(y) + smoothing / K (Szegedy et al., arXiv
 * 1512.00567), for `logits` [N, K] and `labels` int64 [N]. Its gradient is (softmax(z) − t) / N.
 */
function crossEntropy(e: Emitter, logits: Value, labels: Value, smoothing: number): Loss {
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
