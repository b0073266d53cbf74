import { drawImages } from '../data/subset.js';
import type { ImageSource } from '../data/types.js';
import type { ComparedAccuracy, ComparedInit, CompareReport } from '../contracts/compare.js';
import { comparePredictions, type Predictions, summarizePredictions } from '../evaluate/eval-summary.js';
import type { RunLimits } from '../limits.js';
import type { Device, Driver } from '../runtime/types.js';
import { defaultEvalSettings, type EvalSettings } from '../evaluate/eval-settings.js';
import { checkImageSettings } from '../images/image-settings.js';
import { openEvaluation, summaryOf } from '../images/images.js';
import { classesOfModel } from '../images/labelled-images.js';
import { trialWarning, tryNormalizations } from '../evaluate/normalization-trial.js';
import { inForce } from '../images/preparation.js';
import { badImagesOf, runClassifier } from '../evaluate/run-classifier.js';
import type { ValidationOptions } from './settings.js';

/** Labelled images, and what the original makes of them. */
export interface Validation {
  readonly report: NonNullable<CompareReport['validation']>;
  readonly warnings: readonly string[];
  /** The settings that are in force. */
  readonly settings: EvalSettings;
  /** Runs a converted model, the bytes of a file, on the same images. `init` names it. */
  judge(init: string, bytes: Uint8Array, onProgress: (done: number, total: number) => void): Promise<Predictions>;
  /** Accuracy of predictions, and their difference to those of the first initialization. */
  summarize(
    predictions: Predictions,
    first: Predictions | undefined,
  ): { readonly accuracy: ComparedAccuracy; readonly versusFirst: ComparedInit['versusFirst'] };
  close(): Promise<void>;
}

export interface ValidationContext {
  readonly path: string;
  readonly seed: number;
  readonly device: Device;
  /** 0: all cores. */
  readonly threads: number;
  readonly limits: RunLimits;
  readonly driver: Driver;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: (done: number, total: number) => void;
}

/**
 * Opens the images and runs the original on them, so that whatever is wrong with either is said before anything is fitted.
 * Throws what `evaluateModel` throws.
 */
export async function openValidationImages(
  { data, classes, settings: chosen }: ValidationOptions,
  context: ValidationContext,
): Promise<Validation> {
  const { path, seed, device, threads, limits, driver, signal } = context;
  const settings: EvalSettings = {
    ...defaultEvalSettings,
    ...chosen,
    seed,
    device,
    threads: threads > 0 ? threads : null,
  };
  checkImageSettings(settings);
  const sources = { path: classes, model: classesOfModel(path) };
  const { source: whole, order } = await openEvaluation(data, settings.split, sources);
  try {
    const { limit } = settings;
    const source: ImageSource = limit === null ? whole : drawImages(whole, limit, { seed, order: 'source' });
    const tried: string[] = [];
    const { model, predictions, bad, warnings } = await runClassifier(path, source, settings, driver, {
      limits,
      signal,
      onPrepared: async (original) => {
        const trial = await tryNormalizations(original, source, settings, { signal });
        const warning = trial === undefined ? undefined : trialWarning(trial, path);
        if (warning !== undefined) tried.push(warning);
      },
      onProgress: (done) => context.onProgress(done, source.length),
    });
    const { preparation } = model;
    const accuracyOf = (of: Predictions): ComparedAccuracy => {
      const { top1, ci95, top5, loss } = summarizePredictions(of, source.titles);
      return { top1, ci95, top5, loss };
    };
    return {
      report: {
        data: summaryOf(source),
        n: predictions.labels.length,
        original: accuracyOf(predictions),
        badImages: badImagesOf(bad),
        preparation: { ...preparation.report, classes: order },
      },
      warnings: [...source.warnings, ...tried, ...warnings],
      settings: inForce(settings, preparation.report),
      judge: async (init, bytes, onProgress) => {
        const run = await runClassifier(`${path} (${init})`, source, settings, driver, {
          bytes,
          limits,
          preparation,
          signal,
          onProgress: (done) => onProgress(done, source.length),
        });
        return run.predictions;
      },
      summarize: (of, first) => {
        const accuracy = accuracyOf(of);
        if (first === undefined) return { accuracy, versusFirst: null };
        const { difference, ci95, discordant, pValue } = comparePredictions(of.labels, of.predicted, first.predicted);
        return { accuracy, versusFirst: { difference, ci95, discordant, pValue } };
      },
      close: () => whole.close(),
    };
  } catch (error) {
    await whole.close();
    throw error;
  }
}
