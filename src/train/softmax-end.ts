import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';

/** Operators that keep the values, or their order and meaning. */
const passedOver = new Set([
  'Identity',
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Cast',
  'QuantizeLinear',
  'DequantizeLinear',
]);

const softmaxes = new Set(['Softmax', 'QLinearSoftmax']);

/**
 * Whether the model's first output holds probabilities: it is that of a Softmax, also of a quantized one, or of one that
 * was written as Exp, ReduceSum and Div. A LogSoftmax does not count: its outputs are logits too.
 */
export function endsInSoftmax(graph: Graph): boolean {
  let value: Value | undefined = graph.outputs[0];
  for (;;) {
    const node: Node | undefined = value?.producer;
    if (node === undefined) return false;
    if (softmaxes.has(node.opType) || isSpelledOut(node)) return true;
    if (!passedOver.has(node.opType)) return false;
    value = node.inputs[0];
  }
}

/** exp(z) / Σ exp(z) */
function isSpelledOut(node: Node): boolean {
  if (!node.is('Div')) return false;
  const [numerator, denominator] = node.inputs;
  return (
    numerator?.producer?.is('Exp') === true &&
    denominator?.producer?.is('ReduceSum') === true &&
    denominator.producer.inputs[0] === numerator
  );
}
