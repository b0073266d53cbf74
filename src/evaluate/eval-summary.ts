import { LowrankError } from '../errors.js';
import type { ClassResult, ConfusionCell, EvalReport, PairedComparison } from '../contracts/eval.js';
import { mcNemarExact, pairedDifferenceInterval, wilsonInterval } from '../statistics.js';

/** What a model said about labelled images: arrays of one entry an image, in one order. */
export interface Predictions {
  readonly labels: ArrayLike<number>;
  /** The class of the largest output. */
  readonly predicted: ArrayLike<number>;
  /** 1 where the label is among the five largest outputs; null where there are at most five classes. */
  readonly inTop5: ArrayLike<number> | null;
  /** Cross-entropy in nats. */
  readonly losses: ArrayLike<number>;
}

/** The part of the report that follows from the predictions alone. */
export type EvalSummary = Pick<EvalReport, 'n' | 'top1' | 'top5' | 'loss' | 'ci95' | 'perClass' | 'confusion'>;

function checkLengths(predictions: Predictions): void {
  const { labels, predicted, inTop5, losses } = predictions;
  const lengths = [labels.length, predicted.length, inTop5?.length ?? labels.length, losses.length];
  if (lengths.some((length) => length !== labels.length)) {
    throw new LowrankError('INTERNAL', `predictions of ${lengths.join(', ')} images`);
  }
  if (labels.length === 0)
    throw new LowrankError('INPUT', 'no image was evaluated', { remedy: 'check the data folder' });
}

/** Accuracy, loss, per-class results and confusion. `classNames` names every output of the model. At least one image. */
export function summarizePredictions(predictions: Predictions, classNames: readonly string[]): EvalSummary {
  checkLengths(predictions);
  const { labels, predicted, inTop5, losses } = predictions;
  const n = labels.length;
  const classes = classNames.length;
  const images = new Float64Array(classes);
  const given = new Float64Array(classes);
  const hits = new Float64Array(classes);
  const hits5 = new Float64Array(classes);
  const cells = new Map<number, number>();
  let loss = 0;
  for (let i = 0; i < n; i++) {
    const actual = labels[i]!;
    const guess = predicted[i]!;
    if (!(actual >= 0 && actual < classes && guess >= 0 && guess < classes)) {
      throw new LowrankError('INTERNAL', `label ${actual} or prediction ${guess} beyond ${classes} classes`);
    }
    images[actual]! += 1;
    given[guess]! += 1;
    if (actual === guess) hits[actual]! += 1;
    if (inTop5 !== null && inTop5[i] !== 0) hits5[actual]! += 1;
    loss += losses[i]!;
    const cell = actual * classes + guess;
    cells.set(cell, (cells.get(cell) ?? 0) + 1);
  }
  const share = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);
  const perClass = classNames.map((name, index): ClassResult => ({
    class: index,
    name,
    n: images[index]!,
    top1: share(hits[index]!, images[index]!),
    top5: inTop5 === null ? null : share(hits5[index]!, images[index]!),
    predicted: given[index]!,
    precision: share(hits[index]!, given[index]!),
  }));
  const confusion = [...cells]
    .toSorted(([a], [b]) => a - b)
    .map(([cell, count]): ConfusionCell => ({ actual: Math.floor(cell / classes), predicted: cell % classes, count }));
  const sum = (values: Float64Array): number => values.reduce((total, value) => total + value, 0);
  return {
    n,
    top1: sum(hits) / n,
    top5: inTop5 === null ? null : sum(hits5) / n,
    loss: loss / n,
    ci95: wilsonInterval(sum(hits), n),
    perClass,
    confusion,
  };
}

/** The comparison of two models on the same images in the same order. At least one image. */
export function comparePredictions(
  labels: ArrayLike<number>,
  first: ArrayLike<number>,
  second: ArrayLike<number>,
): Omit<PairedComparison, 'model'> {
  const n = labels.length;
  if (n === 0 || first.length !== n || second.length !== n) {
    throw new LowrankError('INTERNAL', `predictions of ${first.length} and ${second.length} images, labels of ${n}`);
  }
  let onlyFirst = 0;
  let onlySecond = 0;
  let both = 0;
  for (let i = 0; i < n; i++) {
    const isFirst = first[i] === labels[i];
    const isSecond = second[i] === labels[i];
    if (isFirst && isSecond) both += 1;
    else if (isFirst) onlyFirst += 1;
    else if (isSecond) onlySecond += 1;
  }
  return {
    top1: (both + onlySecond) / n,
    difference: (onlyFirst - onlySecond) / n,
    ci95: pairedDifferenceInterval(onlyFirst, onlySecond, n),
    discordant: { onlyFirst, onlySecond },
    pValue: mcNemarExact(onlyFirst, onlySecond),
  };
}
