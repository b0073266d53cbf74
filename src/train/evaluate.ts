import { throwIfAborted } from '../errors.js';
import type { Predictions } from '../report/eval-summary.js';
import type { EndKind } from './classifier-end.js';

/** Some labelled images as a loader gives them: the first `size` count. */
export interface EvaluationBatch {
  readonly images: Float32Array | Uint8Array;
  readonly labels: BigInt64Array;
  readonly size: number;
  readonly dims: readonly number[];
}

/** A model's outputs for a batch: logits or probabilities, row-major [n, classes]. */
export type Predict = (images: Float32Array | Uint8Array, dims: readonly number[]) => Promise<Float32Array>;

export interface EvaluateOptions {
  readonly classes: number;
  /** What the outputs are. Default: logits. */
  readonly end?: EndKind;
  readonly signal?: AbortSignal | undefined;
  /** Called behind every batch with the number of images done. */
  readonly onProgress?: (done: number) => void;
}

const topCount = 5;

/** The smallest normal float32: a probability below it, 0 in a quantized model, counts as this in the loss. */
export const smallestProbability = 2 ** -126;

/**
 * What a model predicts for all images: the class of the largest output (the first of equal ones), whether the label is
 * among the five largest, and −log softmax(z)_label in nats, in float64; a probability of 0 counts as
 * `smallestProbability`. Behind a Sigmoid the loss is the mean of the classes' binary cross-entropies. Throws ABORTED.
 */
export async function evaluate(
  batches: AsyncIterable<EvaluationBatch>,
  predict: Predict,
  { classes, end = 'logits', signal, onProgress }: EvaluateOptions,
): Promise<Predictions> {
  const labels: number[] = [];
  const predicted: number[] = [];
  const inTop5: number[] | null = classes > topCount ? [] : null;
  const losses: number[] = [];
  for await (const { images, labels: given, size, dims } of batches) {
    throwIfAborted(signal);
    // All of them were bad.
    if (size === 0) continue;
    const outputs = await predict(images, dims);
    for (let row = 0; row < size; row++) {
      const logits = outputs.subarray(row * classes, (row + 1) * classes);
      const label = Number(given[row]!);
      let best = 0;
      let above = 0;
      for (let k = 1; k < classes; k++) if (logits[k]! > logits[best]!) best = k;
      const own = logits[label]!;
      for (let k = 0; k < classes; k++) {
        const value = logits[k]!;
        if (value > own || (value === own && k < label)) above++;
      }
      labels.push(label);
      predicted.push(best);
      inTop5?.push(above < topCount ? 1 : 0);
      losses.push(lossOf[end](logits, label));
    }
    onProgress?.(labels.length);
  }
  return { labels, predicted, inTop5, losses };
}

/** Of one image, by what the outputs are. */
const lossOf: Readonly<Record<EndKind, (outputs: Float32Array, label: number) => number>> = {
  logits: (outputs, label) => logSumExp(outputs) - outputs[label]!,
  softmax: (outputs, label) => -Math.log(likelihood(outputs[label]!)),
  'log-softmax': (outputs, label) => logSumExp(outputs) - outputs[label]!,
  sigmoid: (outputs, label) =>
    outputs.reduce((sum, p, k) => sum - Math.log(likelihood(k === label ? p : 1 - p)), 0) / outputs.length,
};

/** NaN stays NaN. */
function likelihood(probability: number): number {
  return probability < smallestProbability ? smallestProbability : probability;
}

function logSumExp(values: Float32Array): number {
  const largest = values.reduce((most, value) => Math.max(most, value), -Infinity);
  let sum = 0;
  for (const value of values) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}
