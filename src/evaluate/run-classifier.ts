import { LowrankError } from '../errors.js';
import type { BadImage } from '../data/bad-images.js';
import { createLoader, type Loader } from '../data/loader.js';
import type { Normalization } from '../data/normalize.js';
import type { ImageSource } from '../data/types.js';
import type { Predictions } from './eval-summary.js';
import type { RunLimits } from '../limits.js';
import { sessionOptionsOf } from '../runtime/threads.js';
import type { Driver } from '../runtime/types.js';
import { type Classifier, openClassifier } from './classifier.js';
import type { EvalSettings } from './eval-settings.js';
import { evaluate, type EvaluationBatch, smallestProbability } from './evaluate.js';
import { requireClasses } from '../images/images.js';
import type { ImagePreparation } from '../images/preparation.js';

/** The settings that a run depends on; which images there are is said by the source. */
export type RunSettings = Omit<EvalSettings, 'split' | 'limit' | 'seed'>;

/** What a classifier said about a data set. */
export interface ClassifierRun {
  readonly model: Classifier;
  readonly predictions: Predictions;
  readonly bad: readonly BadImage[];
  readonly warnings: readonly string[];
  readonly prepareSeconds: number;
  /** From the first image to the last result. */
  readonly seconds: number;
}

export interface RunOptions {
  /** The model, data inline, where it is in no file: the path is then its name in messages. */
  readonly bytes?: Uint8Array | undefined;
  /** What a run may take. */
  readonly limits?: RunLimits | undefined;
  /** How images become inputs, where that was found before, of the model in another form. */
  readonly preparation?: ImagePreparation | undefined;
  /** Called once the model can run, before the images. */
  readonly onPrepared?: (model: Classifier) => Promise<void> | void;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: (done: number) => void;
}

/** Bad images that a report names. */
const mostNames = 20;

/** How many images could not be read, and the first of them. */
export function badImagesOf(bad: readonly BadImage[]): { readonly count: number; readonly names: readonly string[] } {
  return { count: bad.length, names: bad.slice(0, mostNames).map(({ name }) => name) };
}

/**
 * Runs the model file at `path`, as it is, on all images, in their order, prepared as the user and the model say, or as
 * `preparation` says. Throws what `evaluateModel` does.
 */
export async function runClassifier(
  path: string,
  source: ImageSource,
  settings: RunSettings,
  driver: Driver,
  { bytes, limits, preparation, signal, onPrepared, onProgress }: RunOptions,
): Promise<ClassifierRun> {
  const started = performance.now();
  const { device, threads, inputs } = settings;
  const session = { ...sessionOptionsOf({ device, threads }), ...(limits === undefined ? {} : { limits }) };
  const model = await openClassifier(path, {
    inputs,
    bytes,
    driver,
    session,
    images: preparation ?? settings,
    arrays: source.arrays,
    signal,
  });
  try {
    requireClasses(source, model.classes, `list the classes of ${path} in their order with --classes`);
    await onPrepared?.(model);
    const loader = loaderFor(model, source, settings, { normalization: model.preparation.normalization, signal });
    try {
      const begun = performance.now();
      const predictions = await evaluate(loader.batches(0) as AsyncIterable<EvaluationBatch>, model.predict, {
        classes: model.classes,
        end: model.end,
        signal,
        onProgress,
      });
      return {
        model,
        predictions,
        bad: [...loader.bad],
        warnings: [...model.warnings, ...endWarnings(model, path, source), ...lossWarnings(predictions, path)],
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

/** The images as the model takes them, each under this normalization. */
export function loaderFor(
  model: Classifier,
  source: ImageSource,
  { batchSize, maxBad, workers }: Pick<RunSettings, 'batchSize' | 'maxBad' | 'workers'>,
  { normalization, signal }: { readonly normalization: Normalization; readonly signal: AbortSignal | undefined },
): Loader {
  return createLoader({
    source,
    transform: model.preparation.transform,
    format: { type: model.pixels, layout: model.layout, channels: model.preparation.input.channels, normalization },
    batchSize: model.fixedBatch ?? Math.min(batchSize, source.length),
    shuffle: false,
    last: 'pad',
    maxBad,
    signal,
    ...(workers === null ? {} : { workers }),
  });
}

function endWarnings({ end }: Classifier, path: string, { targets }: ImageSource): string[] {
  if (targets !== undefined) {
    return ['images have several classes each: one counts as right where the largest output is one of its classes'];
  }
  if (end !== 'sigmoid') return [];
  return [
    `${path} ends in a Sigmoid: its loss is the mean binary cross-entropy of the classes, against one class per image`,
  ];
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
