import { inWords, inWordsOfCaller } from '../errors.js';
import { drawImages } from '../data/subset.js';
import type { Preparation } from '../contracts/images.js';
import type { EvalReport, NormalizationTrial } from '../contracts/eval.js';
import { comparePredictions, summarizePredictions } from './eval-summary.js';
import { checkedLimits, limitsOf, type LimitOptions } from '../limits.js';
import { loadDriver } from '../runtime/driver.js';
import { tool } from '../version.js';
import { defaultEvalSettings, type EvalSettings } from './eval-settings.js';
import { checkImageSettings } from '../images/image-settings.js';
import { openEvaluation, summaryOf } from '../images/images.js';
import { classesOfModel } from '../images/labelled-images.js';
import { tryNormalizations, trialWarning } from './normalization-trial.js';
import { inForce } from '../images/preparation.js';
import { badImagesOf, type ClassifierRun, runClassifier } from './run-classifier.js';

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
  /** Called before the images are run through a model: how they become its inputs. */
  readonly onPrepared?: (model: string, preparation: Preparation) => void;
  /** Called behind every batch of what normalizations are tried on, where nothing says which one it is. */
  readonly onTrial?: (progress: { readonly model: string; readonly done: number; readonly total: number }) => void;
  /** Called with a warning that comes before the end, and is in the report too. */
  readonly onWarning?: (warning: string) => void;
}

type PreparedRun = ClassifierRun & {
  readonly facts: { readonly preparation: Preparation; readonly normalizationTrial?: NormalizationTrial };
};

/**
 * Runs a classifier, the file as it is, on labelled images: top-1 and top-5, loss, confusion; with `versus`, a paired
 * comparison with a second one, whose input may have another size and layout. Each model is shown the images as it says that
 * it wants them (`Preparation`), where the settings do not say otherwise.
 * Throws INPUT where images are missing, too many are bad or their classes are not the model's; UNSUPPORTED where a model
 * is no classifier of images; USAGE for settings that do not fit; NUMERIC where a loss is not finite; RUNTIME, ABORTED.
 */
export async function evaluateModel(options: EvalOptions): Promise<EvalReport> {
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1000;
  const { signal, versus } = options;
  const settings: EvalSettings = { ...defaultEvalSettings, ...options.settings };
  const { split, limit, seed } = settings;
  checkImageSettings(settings);
  const limits = limitsOf(checkedLimits(options));
  const classes = { path: options.classes, model: classesOfModel(options.model) };
  const { source: whole, order } = await openEvaluation(options.data, split, classes);
  try {
    const source = limit === null ? whole : drawImages(whole, limit, { seed, order: 'source' });
    const driver = await loadDriver();
    const total = source.length * (versus === undefined ? 1 : 2);
    const run = async (path: string, before: number): Promise<PreparedRun> => {
      let trial: NormalizationTrial | undefined;
      const warnings: string[] = [];
      const prepared = await runClassifier(path, source, settings, driver, {
        limits,
        signal,
        onProgress: (done) => options.onProgress?.({ model: path, done: before + done, total }),
        onPrepared: async (model) => {
          options.onPrepared?.(path, { ...model.preparation.report, classes: order });
          trial = await tryNormalizations(model, source, settings, {
            signal,
            onProgress: (done, all) => options.onTrial?.({ model: path, done, total: all }),
          });
          const warning = trial === undefined ? undefined : trialWarning(trial, path);
          if (warning === undefined) return;
          warnings.push(warning);
          options.onWarning?.(inWordsOfCaller(warning));
        },
      });
      const preparation = { ...prepared.model.preparation.report, classes: order };
      return {
        ...prepared,
        warnings: [...warnings, ...prepared.warnings],
        facts: { preparation, ...(trial === undefined ? {} : { normalizationTrial: trial }) },
      };
    };
    const first = await run(options.model, 0);
    const second = versus === undefined ? undefined : await run(versus, source.length);
    const { model, predictions, bad } = first;
    const summary = summarizePredictions(predictions, source.titles);
    return inWords<EvalReport>({
      schema: 'lowrank.eval/1',
      tool,
      ...(options.command === undefined ? {} : { command: options.command }),
      model: model.summary,
      settings: {
        data: options.data,
        classes: options.classes ?? null,
        versus: versus ?? null,
        ...inForce(settings, first.facts.preparation),
      },
      data: summaryOf(source),
      ...first.facts,
      ...summary,
      imagesPerSecond: summary.n / first.seconds,
      versus:
        second === undefined
          ? null
          : {
              model: second.model.summary,
              ...comparePredictions(predictions.labels, predictions.predicted, second.predictions.predicted),
              ...second.facts,
            },
      badImages: badImagesOf(bad),
      warnings: [...source.warnings, ...first.warnings, ...(second?.warnings ?? [])],
      seconds: {
        prepare: first.prepareSeconds + (second?.prepareSeconds ?? 0),
        evaluate: first.seconds + (second?.seconds ?? 0),
        total: seconds(),
      },
    });
  } finally {
    await whole.close();
  }
}
