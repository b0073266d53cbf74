import { namedNormalizations } from '../data/normalize.js';
import { drawImages } from '../data/subset.js';
import type { ImageSource } from '../data/types.js';
import type { NormalizationTrial } from '../contracts/eval.js';
import { comparePredictions, type Predictions } from './eval-summary.js';
import type { Classifier } from './classifier.js';
import { evaluate, type EvaluationBatch } from './evaluate.js';
import { loaderFor, type RunSettings } from './run-classifier.js';

/** Pictures that every normalization is tried on. */
const pictures = 100;
/** Of all comparisons together. */
const level = 0.05;

export interface TrialOptions {
  readonly signal: AbortSignal | undefined;
  /** Counts runs of images, of all normalizations together. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Where nothing says how images are normalized: what each named normalization that they can have gives on 100 of them, the same for all. Another
 * one is better where McNemar's exact test of the same pictures says so, at 5 % for all comparisons together (Bonferroni).
 * undefined where something says it. Throws what running the images throws.
 */
export async function tryNormalizations(
  model: Classifier,
  source: ImageSource,
  settings: RunSettings,
  { signal, onProgress }: TrialOptions,
): Promise<NormalizationTrial | undefined> {
  const { from, name: assumed } = model.preparation.report.normalization;
  if (from !== 'assumed') return undefined;
  const { channels } = model.preparation.input;
  const some = source.length > pictures ? drawImages(source, pictures, { seed: 0, order: 'source' }) : source;
  const tried = new Map<string, Predictions>();
  // Of other than three channels there are none of three colors.
  const candidates = namedNormalizations(channels).filter(([, { mean }]) => mean.length === channels);
  for (const [name, normalization] of candidates) {
    // Bad images are counted in the evaluation.
    const loader = loaderFor(model, some, { ...settings, maxBad: some.length }, { normalization, signal });
    try {
      const batches = loader.batches(0) as AsyncIterable<EvaluationBatch>;
      const before = tried.size * some.length;
      const total = candidates.length * some.length;
      const predictions = await evaluate(batches, model.predict, {
        classes: model.classes,
        end: model.end,
        signal,
        onProgress: (done) => onProgress?.(before + done, total),
      });
      tried.set(name, predictions);
    } finally {
      await loader.close();
    }
  }
  const { labels, predicted } = tried.get(assumed!)!;
  if (labels.length === 0) return undefined;
  const results = [...tried].map(([name, other]) => {
    const { top1, difference, pValue } = comparePredictions(labels, predicted, other.predicted);
    return { name, top1, difference: -difference, pValue };
  });
  const clear = results.filter(({ difference, pValue }) => difference > 0 && pValue < level / (results.length - 1));
  // Of equally good ones that which the model is surest with; losses that are not finite come last.
  const lossOf = ({ name }: { readonly name: string }): number => {
    const loss = Array.from(tried.get(name)!.losses).reduce((sum, each) => sum + each, 0);
    return Number.isFinite(loss) ? loss : Number.MAX_VALUE;
  };
  const better = clear.toSorted((a, b) => b.top1 - a.top1 || lossOf(a) - lossOf(b))[0]?.name ?? null;
  return { images: labels.length, assumed: assumed!, results, better };
}

/** What to say of it; undefined where the assumed one is as good as any. */
export function trialWarning(
  { images, assumed, results, better }: NormalizationTrial,
  path: string,
): string | undefined {
  if (better === null) return undefined;
  const rightWith = (name: string): number => Math.round(images * results.find((result) => result.name === name)!.top1);
  return `normalization ${assumed} is only assumed for ${path}, and ${better} is clearly better: of ${images} pictures ${rightWith(better)} are right with it, ${rightWith(assumed)} without; --normalization ${better} sets it`;
}
