import { LowrankError } from '../errors.js';
import type { BadImage } from '../data/bad-images.js';
import { createLoader } from '../data/loader.js';
import { drawImages } from '../data/subset.js';
import type { Transform } from '../data/transform.js';
import type { ImageSource } from '../data/types.js';
import type { EvalReport } from '../report/eval-contract.js';
import { comparePredictions, type Predictions, summarizePredictions } from '../report/eval-summary.js';
import { loadDriver } from '../runtime/driver.js';
import type { Device, Driver } from '../runtime/types.js';
import { tool } from '../version.js';
import { type Classifier, openClassifier } from './classifier.js';
import { evaluate, type EvaluationBatch, smallestProbability } from './evaluate.js';
import { centerCrop, classesFrom, normalizationOf, openEvaluation, requireClasses, summaryOf } from './images.js';

/** Everything that decides an evaluation; see `lowrank-eval --help`. */
export interface EvalSettings {
  /** Part of the data set; null: that for validation where it has parts. */
  readonly split: string | null;
  readonly batchSize: number;
  /** Side of the images in pixels; null: what the model says, 224 where it does not. */
  readonly imageSize: number | null;
  /** Shorter side before the center crop; null: the image size / 0.875; up to 64 pixels, the image size. */
  readonly resize: number | null;
  /** The whole image is stretched to the model's size, in place of the center crop. */
  readonly stretch: boolean;
  /** Name of a normalization, or means and standard deviations of the channels, for pixels from 0 to 1. */
  readonly normalization: string;
  readonly mean: readonly number[] | null;
  readonly std: readonly number[] | null;
  /** So many images, drawn by (seed); null: all. */
  readonly limit: number | null;
  readonly seed: number;
  readonly maxBad: number;
  readonly device: Device;
  /** Threads of onnxruntime; null: all cores. */
  readonly threads: number | null;
  /** Decode threads; null: one per core, at most 4. */
  readonly workers: number | null;
}

export const defaultEvalSettings: EvalSettings = {
  split: null,
  batchSize: 32,
  imageSize: null,
  resize: null,
  stretch: false,
  normalization: 'imagenet',
  mean: null,
  std: null,
  limit: null,
  seed: 0,
  maxBad: 0,
  device: 'cpu',
  threads: null,
  workers: null,
};

export interface EvalOptions {
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
  normalizationOf(settings);
  if (settings.stretch && settings.resize !== null) {
    throw new LowrankError('USAGE', '--stretch and --resize contradict each other', {
      remedy: 'a stretched image is not cropped: leave --resize out',
    });
  }
  const whole = await openEvaluation(options.data, { split, classes: classesFrom(options.classes) });
  try {
    const source = limit === null ? whole : drawImages(whole, limit, { seed, order: 'source' });
    const driver = await loadDriver();
    const total = source.length * (versus === undefined ? 1 : 2);
    const onProgress = (model: string, done: number): void => options.onProgress?.({ model, done, total });
    const first = await runModel(options.model, source, settings, driver, {
      signal,
      onProgress: (done) => onProgress(options.model, done),
    });
    const second =
      versus === undefined
        ? undefined
        : await runModel(versus, source, settings, driver, {
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
      badImages: { count: bad.length, names: bad.slice(0, mostNames).map(({ name }) => name) },
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

/** Bad images that a report names. */
const mostNames = 20;

interface ModelRun {
  readonly model: Classifier;
  readonly predictions: Predictions;
  readonly bad: readonly BadImage[];
  readonly warnings: readonly string[];
  readonly prepareSeconds: number;
  /** From the first image to the last result. */
  readonly seconds: number;
}

async function runModel(
  path: string,
  source: ImageSource,
  settings: EvalSettings,
  driver: Driver,
  { signal, onProgress }: { readonly signal: AbortSignal | undefined; readonly onProgress: (done: number) => void },
): Promise<ModelRun> {
  const started = performance.now();
  const { device, threads, workers, maxBad, imageSize } = settings;
  const session = { device, ...(threads === null ? {} : { threads }) };
  const model = await openClassifier(path, { driver, session, imageSize, signal });
  try {
    requireClasses(source, model.classes, `list the classes of ${path} in their order with --classes`);
    const loader = createLoader({
      source,
      transform: transformOf(model, settings),
      format: { type: model.pixels, layout: model.layout, normalization: normalizationOf(settings) },
      batchSize: model.fixedBatch ?? Math.min(settings.batchSize, source.length),
      shuffle: false,
      last: 'pad',
      maxBad,
      signal,
      ...(workers === null ? {} : { workers }),
    });
    try {
      const begun = performance.now();
      const predictions = await evaluate(loader.batches(0) as AsyncIterable<EvaluationBatch>, model.predict, {
        classes: model.classes,
        areProbabilities: model.areProbabilities,
        signal,
        onProgress,
      });
      return {
        model,
        predictions,
        bad: [...loader.bad],
        warnings: [...model.warnings, ...lossWarnings(predictions, path)],
        prepareSeconds: (begun - started) / 1000,
        seconds: (performance.now() - begun) / 1000,
      };
    } finally {
      await loader.close();
    }
  } finally {
    await model.close();
  }
}

function transformOf({ width, height }: Classifier, { stretch, resize }: EvalSettings): Transform {
  return stretch ? { kind: 'stretch', width, height } : centerCrop({ width, height }, resize);
}

/** What the report says about odd losses. Throws NUMERIC where one is not finite. */
function lossWarnings({ losses }: Predictions, path: string): string[] {
  const values = Array.from(losses);
  const broken = values.filter((loss) => !Number.isFinite(loss)).length;
  if (broken > 0) {
    throw new LowrankError('NUMERIC', `the model's outputs are not finite for ${broken} of ${values.length} images`, {
      place: path,
      remedy: 'check the model, and that --normalization is that of its training',
    });
  }
  const floor = -Math.log(smallestProbability);
  const raised = values.filter((loss) => loss === floor).length;
  if (raised === 0) return [];
  const images = `${raised} of ${values.length} images`;
  return [`${path} gives the label of ${images} the probability 0, which counts as 2^-126 in the loss`];
}
