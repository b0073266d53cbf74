import { LowrankError, throwIfAborted } from '../errors.js';
import type { Predictions } from './eval-summary.js';
import type { EndKind } from '../passes/classifier-end.js';

/** Some labelled images as a loader gives them: the first `size` count. */
export interface EvaluationBatch {
  readonly images: Float32Array | Uint8Array;
  readonly labels: BigInt64Array;
  /** Of images with several classes each, 0 or 1 for every class, row-major [N, classes]. */
  readonly targets?: Float32Array | undefined;
  readonly size: number;
  readonly dims: readonly number[];
}

/** A model's outputs for a batch: logits or probabilities, row-major [n, classes]. */
export type Predict = (images: Float32Array | Uint8Array, dims: readonly number[]) => Promise<Float32Array>;

export interface EvaluateOptions {
  readonly classes: number;
  /** What the outputs are. Default: logits. */
  readonly end?: EndKind | 'sigmoid-logits';
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
 * `smallestProbability`. Behind a Sigmoid the loss is the mean of the classes' binary cross-entropies; an image of several
 * classes counts as right where the largest output is one of them. Throws ABORTED.
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
  for await (const { images, labels: given, targets, size, dims } of batches) {
    throwIfAborted(signal);
    // All of them were bad.
    if (size === 0) continue;
    const outputs = await predict(images, dims);
    for (let row = 0; row < size; row++) {
      const logits = outputs.subarray(row * classes, (row + 1) * classes);
      let best = 0;
      let above = 0;
      for (let k = 1; k < classes; k++) if (logits[k]! > logits[best]!) best = k;
      const ofImage = targets?.subarray(row * classes, (row + 1) * classes);
      const label = ofImage === undefined ? Number(given[row]!) : likeliestOf(ofImage, logits);
      const own = logits[label]!;
      for (let k = 0; k < classes; k++) {
        const value = logits[k]!;
        if (value > own || (value === own && k < label)) above++;
      }
      labels.push(label);
      predicted.push(best);
      inTop5?.push(above < topCount ? 1 : 0);
      losses.push(lossOf[end](logits, ofImage ?? label));
    }
    onProgress?.(labels.length);
  }
  return { labels, predicted, inTop5, losses };
}

type Truth = number | Float32Array;

/** The class of an image by one number: of several, the one that the model finds likeliest; of none, another than its guess. */
function likeliestOf(targets: Float32Array, outputs: Float32Array): number {
  let best = -1;
  for (let k = 0; k < outputs.length; k++) if (targets[k] === 1 && (best < 0 || outputs[k]! > outputs[best]!)) best = k;
  return best >= 0 ? best : outputs.indexOf(outputs.reduce((least, output) => Math.min(least, output), Infinity));
}

/** Whether class k is one of the image's. */
const has = (truth: Truth, k: number): boolean => (typeof truth === 'number' ? k === truth : truth[k] === 1);

/** Of one image, by what the outputs are. */
const lossOf: Readonly<Record<EndKind | 'sigmoid-logits', (outputs: Float32Array, truth: Truth) => number>> = {
  logits: (outputs, truth) => logSumExp(outputs) - outputs[single(truth)]!,
  softmax: (outputs, truth) => -Math.log(likelihood(outputs[single(truth)]!)),
  'log-softmax': (outputs, truth) => logSumExp(outputs) - outputs[single(truth)]!,
  sigmoid: (outputs, truth) =>
    outputs.reduce((sum, p, k) => sum - Math.log(likelihood(has(truth, k) ? p : 1 - p)), 0) / outputs.length,
  'sigmoid-logits': (outputs, truth) =>
    outputs.reduce(
      (sum, z, k) => sum + Math.max(z, 0) - (has(truth, k) ? z : 0) + Math.log1p(Math.exp(-Math.abs(z))),
      0,
    ) / outputs.length,
};

function single(truth: Truth): number {
  if (typeof truth === 'number') return truth;
  throw new LowrankError('UNSUPPORTED', 'the images have several classes each, and the model tells one', {
    remedy: 'give a model that ends in a Sigmoid, or images of one class each',
  });
}

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
