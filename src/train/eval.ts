import { drawImages } from '../data/subset.js';
import type { EvalReport } from '../report/eval-contract.js';
import { comparePredictions, summarizePredictions } from '../report/eval-summary.js';
import { checkedLimits, limitsOf, type LimitOptions } from '../limits.js';
import { loadDriver } from '../runtime/driver.js';
import { tool } from '../version.js';
import { defaultEvalSettings, type EvalSettings } from './eval-settings.js';
import { centerCrop, classesFrom, openEvaluation, summaryOf } from './images.js';
import { badImagesOf, checkEvalSettings, runClassifier } from './run-classifier.js';

export interface EvalOptions extends LimitOptions {
  readonly model: string;
  /** Labelled images: what `openSource` opens. */
  readonly data: string;
  /** File of the classes in the order of the model's outputs. */
  readonly classes?: string | undefined;
  /** A second model, for a paired comparison on the same images. */
  readonly versus?: string | undefined;
  readonly settings?: Partial<EvalSettings>;
  readonly command?: string;
  readonly signal?: AbortSignal | undefined;
  /** Called behind every batch; `model` is the path of the one that runs. */
  readonly onProgress?: (progress: { readonly model: string; readonly done: number; readonly total: number }) => void;
}

/**
 * Runs a classifier, the file as it is, on labelled images: top-1 and top-5, loss, confusion; with `versus`, a paired
 * comparison with a second one, whose input may have another size and layout.
 * Throws INPUT where images are missing, too many are bad or their classes are not the model's; UNSUPPORTED where a model
 * is no classifier of images; USAGE for settings that do not fit; NUMERIC where a loss is not finite; RUNTIME, ABORTED.
 */
export async function evaluateModel(options: EvalOptions): Promise<EvalReport> {
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1000;
  const { signal, versus } = options;
  const settings: EvalSettings = { ...defaultEvalSettings, ...options.settings };
  const { split, limit, seed } = settings;
  checkEvalSettings(settings);
  const limits = limitsOf(checkedLimits(options));
  const whole = await openEvaluation(options.data, { split, classes: classesFrom(options.classes) });
  try {
    const source = limit === null ? whole : drawImages(whole, limit, { seed, order: 'source' });
    const driver = await loadDriver();
    const total = source.length * (versus === undefined ? 1 : 2);
    const onProgress = (model: string, done: number): void => options.onProgress?.({ model, done, total });
    const first = await runClassifier(options.model, source, settings, driver, {
      limits,
      signal,
      onProgress: (done) => onProgress(options.model, done),
    });
    const second =
      versus === undefined
        ? undefined
        : await runClassifier(versus, source, settings, driver, {
            limits,
            signal,
            onProgress: (done) => onProgress(versus, source.length + done),
          });
    const { model, predictions, bad } = first;
    const summary = summarizePredictions(predictions, source.titles);
    return {
      schema: 'lowrank.eval/1',
      tool,
      ...(options.command === undefined ? {} : { command: options.command }),
      model: model.summary,
      settings: {
        data: options.data,
        classes: options.classes ?? null,
        versus: versus ?? null,
        ...settings,
        imageSize: Math.min(model.width, model.height),
        resize: settings.stretch ? null : centerCrop(model, settings.resize).resize,
      },
      data: summaryOf(source),
      ...summary,
      imagesPerSecond: summary.n / first.seconds,
      versus:
        second === undefined
          ? null
          : {
              model: second.model.summary,
              ...comparePredictions(predictions.labels, predictions.predicted, second.predictions.predicted),
            },
      badImages: badImagesOf(bad),
      warnings: [...source.warnings, ...first.warnings, ...(second?.warnings ?? [])],
      seconds: {
        prepare: first.prepareSeconds + (second?.prepareSeconds ?? 0),
        evaluate: first.seconds + (second?.seconds ?? 0),
        total: seconds(),
      },
    };
  } finally {
    await whole.close();
  }
}
