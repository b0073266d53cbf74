import { createHash } from 'node:crypto';
import { areUsualChannels } from '../channels.js';
import type { ClassOrder } from '../contracts/images.js';
import { cachedSource } from '../data/cached-source.js';
import { createLoader, type Loader } from '../data/loader.js';
import type { OutputFormat } from '../data/normalize.js';
import type { ImageSource } from '../data/types.js';
import { LowrankError } from '../errors.js';
import type { ImageFacts } from '../graph/image-facts.js';
import { normalizationName } from '../images/image-metadata.js';
import { normalizationOf, openTraining, requireSamples, openValidation } from '../images/images.js';
import { classesOfModel } from '../images/labelled-images.js';
import { transformFor } from '../images/prepare-arrays.js';
import { calledSides } from '../images/sample-shape.js';
import type { Prepared } from '../step/prepare.js';
import { withAugment } from './augmentation.js';
import type { TrainSettings } from './options.js';
import { transformsOf } from './transforms.js';
import type { Closers, SessionCall } from './session.js';

/** The images of a training. */
export interface SessionImages {
  readonly training: ImageSource;
  readonly validation: ImageSource | undefined;
  /** What the labels count in. */
  readonly order: ClassOrder;
}

export async function openImages(
  options: SessionCall,
  settings: TrainSettings,
  closers: Closers,
): Promise<SessionImages> {
  const { source: training, order } = await openTraining(options.data, {
    path: options.classes,
    model: settings.newHead ? undefined : classesOfModel(options.model),
  });
  closers.push(() => training.close());
  const validation = await openValidation(options.val, options.data, training);
  if (validation !== undefined) closers.push(() => validation.close());
  return { training, validation, order };
}

/** Loaders for a model's input. */
export interface SessionLoaders {
  training(source: ImageSource, batchSize: number): Loader;
  validation(source: ImageSource, batchSize: number): Loader;
}

export function loadersFor(prepared: Prepared, settings: TrainSettings, areBytes: boolean): SessionLoaders {
  const { layout, imageDims } = prepared;
  const { width, height, channels } = calledSides(imageDims, layout);
  const transforms = transformsOf(settings, width, height);
  const normalization = normalizationOf(settings, channels);
  const format: OutputFormat = areBytes
    ? { type: 'uint8', layout: 'nhwc', channels, normalization, reportsFlips: true }
    : { type: 'float32', layout, channels, normalization };
  const shared = {
    format,
    seed: settings.seed,
    maxBad: settings.maxBad,
    ...(settings.workers === null ? {} : { workers: settings.workers }),
  } as const;
  return {
    training: (source, batchSize) =>
      createLoader({
        ...{ ...shared, source, batchSize },
        ...{ transform: transformFor(source, transforms.train), shuffle: true, last: 'drop' },
      }),
    validation: (source, batchSize) =>
      createLoader({
        ...{ ...shared, source, batchSize },
        ...{ transform: transformFor(source, transforms.val), shuffle: false, last: 'keep' },
      }),
  };
}

/** Throws UNSUPPORTED, INPUT where the model does not take the images. */
export function requireImages({ imageDims, layout, images }: Prepared, { training, validation }: SessionImages): void {
  const takes = { imageDims, layout, inputName: images.name };
  for (const source of validation === undefined ? [training] : [training, validation])
    requireSamples(source, training, takes);
}

/** `auto` carried out; arrays are not changed at random. */
export function augmented(settings: TrainSettings, { length, arrays }: ImageSource, prepared: Prepared): TrainSettings {
  return arrays === undefined ? withAugment(settings, length, sideOf(prepared)) : { ...settings, augment: 'none' };
}

/** What is said where arrays are to be changed at random. */
export function noAugment({ augment }: TrainSettings): string {
  return `the arrays are fed as they are: --augment ${augment} is of pictures`;
}

/** Whether the model takes color or grey pictures, which are bytes. */
export function haveUsualChannels({ imageDims, layout }: Prepared): boolean {
  return areUsualChannels(calledSides(imageDims, layout).channels);
}

/** What is said where pictures of other channels are to be cached. */
export function noCache({ imageDims, layout }: Prepared): string {
  const { channels } = calledSides(imageDims, layout);
  return `--cache-images keeps color and grey pictures alone: those of ${channels} channels are decoded in every epoch`;
}

/** The loader of the training images, and its updates an epoch. Throws USAGE where there is not one. */
export async function openLoader(
  loaders: SessionLoaders,
  training: ImageSource,
  settings: TrainSettings,
  signal: AbortSignal | undefined,
  closers: Closers,
): Promise<{ readonly loader: Loader; readonly stepsPerEpoch: number }> {
  const { batchSize, accumulate } = settings;
  const cached = settings.cache > 0 ? await cache(training, settings, signal) : training;
  const loader = loaders.training(cached, batchSize);
  closers.push(() => loader.close());
  const stepsPerEpoch = Math.floor(loader.batchesPerEpoch / accumulate);
  if (stepsPerEpoch > 0) return { loader, stepsPerEpoch };
  throw new LowrankError('USAGE', `${training.length} images are less than one update of ${batchSize * accumulate}`, {
    place: training.path,
    remedy: 'lower --batch-size or --accumulate',
  });
}

async function cache(
  source: ImageSource,
  settings: TrainSettings,
  signal: AbortSignal | undefined,
): Promise<ImageSource> {
  return cachedSource(source, {
    maxBytes: settings.cache,
    signal,
    ...(settings.workers === null ? {} : { workers: settings.workers }),
  });
}

/** Shorter side of the images, in pixels, as the model takes them. */
function sideOf({ imageDims, layout }: Prepared): number {
  const { width, height } = calledSides(imageDims, layout);
  return Math.min(width, height);
}

/** What the trained model says of its images: as they were shown in training and validation. */
export function imageFactsOf(
  settings: TrainSettings,
  { imageDims, layout }: Prepared,
  { classes: ids, titles, arrays }: ImageSource,
): ImageFacts {
  const { width, height, channels } = calledSides(imageDims, layout);
  const { val } = transformsOf(settings, width, height);
  const normalization = normalizationOf(settings, channels);
  const named = normalizationName(normalization) ?? normalization;
  if (arrays !== undefined) return { normalization: named, arrays: arrays.type, classes: { ids, titles } };
  return {
    normalization: named,
    ...(width === height ? { imageSize: width } : {}),
    resize: val.kind === 'stretch' ? 'stretch' : val.resize,
    interpolation: val.interpolation ?? 'bilinear',
    classes: { ids, titles },
  };
}

/** A number for a set of images: their names and labels in order. */
export function fingerprint(source: ImageSource): string {
  const hash = createHash('sha256');
  for (let i = 0; i < source.length; i++) hash.update(`${source.label(i)} ${source.name(i)}\n`);
  return `${source.length} (${hash.digest('hex').slice(0, 12)})`;
}
