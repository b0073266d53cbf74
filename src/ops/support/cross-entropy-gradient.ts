import { int } from '../../graph/attributes.js';
import type { Value } from '../../graph/value.js';
import { INT64 } from '../../onnx/data-type.js';
import type { Emitter } from '../emitter.js';
import type { GradientContext } from '../gradient.js';

/** How the loss depends on the log-probabilities: d(loss)/d(log p) = −pull · onehot, where pull is `upstream` · weight. */
export interface Pull {
  /** [N, C, …]: 1 at the label of each position. */
  readonly onehot: Value;
  /** [N, 1, …]: what is multiplied, 0 at labels that are ignored. */
  readonly pull: Value;
}

/**
 * Inputs scores [N, C, …], labels [N, …], weights [C] if any; reduction mean (of the weights of the labels), sum or none;
 * ignore_index.
 */
export function pullOf({ e, node, inputs }: GradientContext, dy: Value): Pull {
  const [scores, given, weights] = inputs;
  const labels = e.cast(given!, INT64);
  const ignored = node.int('ignore_index');
  const counts = ignored === undefined ? undefined : e.emit('Not', [e.emit('Equal', [labels, e.ints([ignored], [])])]);
  const inside = counts === undefined ? labels : e.emit('Where', [counts, labels, e.ints([0], [])]);
  const classes = e.dims(scores!)[1]!;
  const onehot = e.emit('OneHot', [inside, e.ints([classes], []), e.floats([0, 1])], { axis: int(1) });
  const weight = weightOf(e, inside, weights, counts, scores!);
  const reduction = node.string('reduction', 'mean');
  const share = reduction === 'mean' ? e.div(weight, e.reduceSum(weight)) : weight;
  return { onehot, pull: e.unsqueeze(e.mul(share, dy), [1]) };
}

/** The weight of each label, 0 for those that are ignored: the shape of the labels. */
function weightOf(
  e: Emitter,
  labels: Value,
  weights: Value | undefined,
  counts: Value | undefined,
  like: Value,
): Value {
  const all = weights === undefined ? e.expandLike(e.scalar(1, like), labels) : e.emit('Gather', [weights, labels]);
  return counts === undefined ? all : e.mul(all, e.indicator(counts, like));
}
