import { digestSource } from '../data/digest.js';
import { drawImages } from '../data/subset.js';
import type { ImageSource } from '../data/types.js';
import { LowrankError, throwIfAborted } from '../errors.js';
import type { Purpose } from './accuracy-search.js';
import type { RankSearchContext } from './rank-search.js';
import { limitsOf } from '../limits.js';
import type { AccuracyTrial } from '../contracts/accuracy-budget.js';
import { comparePredictions } from '../evaluate/eval-summary.js';
import { sessionOptionsOf } from '../runtime/threads.js';
import { tool } from '../version.js';
import { openClassifier } from '../evaluate/classifier.js';
import type { EvalSettings } from '../evaluate/eval-settings.js';
import { type Evaluation, type EvaluationCache, modelDigest } from '../evaluate/evaluation-cache.js';
import { tryNormalizations, trialWarning } from '../evaluate/normalization-trial.js';
import type { ImagePreparation } from '../images/preparation.js';
import { runClassifier } from '../evaluate/run-classifier.js';

/** Images that a sensitivity is measured on. */
const sampleImages = 1000;

export interface Judged extends Evaluation {
  readonly top1: number;
  readonly isCached: boolean;
  /** Of the model. */
  readonly sha256: string;
}

/**
 * Evaluates a model file on all images, or on a sample of them for a sensitivity, unless the cache knows the result; undefined
 * where outputs are not finite.
 */
export type Judge = (path: string, purpose: Purpose, signal: AbortSignal | undefined) => Promise<Judged | undefined>;

export interface JudgeOptions {
  readonly evaluation: EvalSettings;
  /** Of the original: every conversion is shown the same images. */
  readonly preparation: ImagePreparation;
  readonly warn: (line: string) => void;
  /** Counts images. */
  readonly onImages: (done: number, total: number) => void;
}

/** How the original is shown images. */
export async function preparationOf(
  { path, driver, running, signal }: RankSearchContext,
  images: EvalSettings,
  { arrays }: ImageSource,
): Promise<ImagePreparation> {
  const session = sessionOptionsOf(running);
  const model = await openClassifier(path, { driver, session, images, inputs: images.inputs, arrays, signal });
  await model.close();
  return model.preparation;
}

export async function createJudge(
  { path: original, driver, running, signal: opening }: RankSearchContext,
  source: ImageSource,
  cache: EvaluationCache,
  { evaluation, preparation, warn, onImages }: JudgeOptions,
): Promise<Judge> {
  const { device } = running;
  const threads = running.threads > 0 ? running.threads : null;
  const sets = new Map<ImageSource, string>();
  const sample = source.length > sampleImages ? drawImages(source, sampleImages, { seed: 0, order: 'source' }) : source;
  for (const set of new Set([source, sample])) sets.set(set, await digestSource(set, { signal: opening }));
  return async (path, purpose, signal) => {
    const images = purpose === 'search' ? source : sample;
    const sha256 = modelDigest(path);
    const { split: _, limit: __, seed: ___, workers: ____, ...inputs } = evaluation;
    const key = {
      tool,
      onnxruntime: driver.version,
      model: sha256,
      images: sets.get(images),
      settings: { ...inputs, device, threads },
    };
    const evaluate = async (): Promise<Evaluation> => {
      const { predictions } = await runClassifier(path, images, { ...evaluation, device, threads }, driver, {
        limits: limitsOf(running),
        preparation,
        signal,
        onPrepared: async (model) => {
          if (path !== original || purpose !== 'search') return;
          const trial = await tryNormalizations(model, source, evaluation, { signal });
          const warning = trial === undefined ? undefined : trialWarning(trial, path);
          if (warning !== undefined) warn(warning);
        },
        onProgress: (done) => {
          throwIfAborted(signal);
          onImages(done, images.length);
        },
      });
      const { labels, predicted, losses } = predictions;
      const loss = Array.from(losses).reduce((sum, value) => sum + value, 0) / losses.length;
      return { labels: Array.from(labels), predicted: Array.from(predicted), loss };
    };
    const answer = await cache.get(key, evaluate).catch((error: unknown) => {
      if (error instanceof LowrankError && error.code === 'NUMERIC') return undefined;
      throw error;
    });
    if (answer === undefined) return undefined;
    const { evaluation: found, isCached } = answer;
    const right = found.labels.filter((label, index) => found.predicted[index] === label).length;
    return { ...found, top1: right / found.labels.length, isCached, sha256 };
  };
}

export function compare(original: Judged, own: Judged): Pick<AccuracyTrial, 'top1' | 'drop' | 'ci95' | 'lossIncrease'> {
  const { top1, difference, ci95 } = comparePredictions(original.labels, original.predicted, own.predicted);
  return { top1, drop: difference, ci95, lossIncrease: own.loss - original.loss };
}

/** The original on all images, in so many seconds, and on the sample. Throws NUMERIC where its outputs are not finite. */
export async function judgeOriginal(
  { path, signal }: RankSearchContext,
  judge: Judge,
): Promise<{ readonly original: Judged; readonly onSample: Judged; readonly seconds: number }> {
  const started = performance.now();
  const original = await judge(path, 'search', signal);
  const seconds = (performance.now() - started) / 1000;
  const onSample = await judge(path, 'sensitivity', signal);
  if (original !== undefined && onSample !== undefined) return { original, onSample, seconds };
  throw new LowrankError('NUMERIC', "the model's outputs are not finite", {
    place: path,
    remedy: 'check the model, and that --normalization is that of its training',
  });
}

/**
 * The model that was chosen, converted once more, against the original. The same bytes as before, as a rule, and so in the
 * cache; a device that sums in another order each time is measured anew. Throws VERIFY where it is beyond the budget.
 */
export async function compareOnceMore(
  path: string,
  original: Judged,
  judge: Judge,
  { points, largestDrop }: { readonly points: number; readonly largestDrop: number },
): Promise<{ readonly compared: ReturnType<typeof compare>; readonly sha256: string }> {
  const own = await judge(path, 'search', undefined);
  const compared = own === undefined ? undefined : compare(original, own);
  if (own !== undefined && compared !== undefined && compared.drop <= largestDrop) {
    return { compared, sha256: own.sha256 };
  }
  throw new LowrankError('VERIFY', `converted once more, the model is beyond the accuracy budget of ${points}`, {
    remedy: 'set --threads 1 and --device cpu, with which conversions repeat exactly; nothing was written',
  });
}
