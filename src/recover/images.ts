import { createLoader, type Loader } from '../data/loader.js';
import type { OutputFormat } from '../data/normalize.js';
import { drawImages } from '../data/subset.js';
import type { ImageSource } from '../data/types.js';
import { openUnlabelled } from '../data/unlabelled.js';
import { LowrankError } from '../errors.js';
import type { ClassOrder } from '../contracts/images.js';
import { normalizationOf, openTraining, requireClasses } from '../images/images.js';
import { classesOfModel } from '../images/labelled-images.js';
import { openSource } from '../data/open.js';
import type { PreparedModel } from '../step/prepare-model.js';
import type { AugmentSettings } from '../training/options.js';
import { calledSides } from '../images/sample-shape.js';
import { transformFor } from '../images/prepare-arrays.js';
import { transformsOf } from '../training/transforms.js';
import type { RecoverOptions } from './recover.js';
import { mostSteps, type RecoverSettings } from './settings.js';

/** Pictures that are kept out: at most so many, and this share of all where there are not many. */
const mostKept = 256;
const keptShare = 1 / 6;

/** The pictures of a recovery, open until `close`. */
export interface RecoverImages {
  readonly training: ImageSource;
  readonly heldOut: ImageSource;
  readonly heldOutFrom: 'option' | 'data';
  /** What labels count in; undefined where none are read. */
  readonly order: ClassOrder | undefined;
  readonly warnings: readonly string[];
  close(): Promise<void>;
}

/** Opens the pictures, with their labels where these are asked for. Throws INPUT for too few of them, and what `openSource` throws. */
export async function openRecoverImages(options: RecoverOptions, settings: RecoverSettings): Promise<RecoverImages> {
  const { data, val, signal } = options;
  const closers: ImageSource[] = [];
  const close = async (): Promise<void> => {
    for (const source of closers.splice(0)) await source.close();
  };
  try {
    const isLabelled = settings.labelWeight > 0;
    let order: ClassOrder | undefined;
    let whole: ImageSource;
    if (isLabelled) {
      const opened = await openTraining(data, { path: options.classes, model: classesOfModel(options.model) });
      ({ source: whole, order } = opened);
    } else whole = await openUnlabelled(data, { signal });
    closers.push(whole);
    const { seed, batchSize, steps } = settings;
    const draw = (count: number, first: number): ImageSource =>
      drawImages(whole, count, { seed, order: 'drawn', first });
    const used = (left: number): number => Math.min(left, (steps ?? mostSteps) * batchSize);
    const requireBatch = (left: number): void => {
      if (left >= batchSize) return;
      throw new LowrankError('INPUT', `${left} pictures are left to learn from, fewer than a batch of ${batchSize}`, {
        place: data,
        remedy: 'give more pictures, or a smaller --batch-size',
      });
    };
    if (val !== undefined) {
      const classes = { ids: whole.classes, titles: whole.titles };
      const heldOut = isLabelled
        ? await openSource(val, { split: 'val', classes })
        : await openUnlabelled(val, { signal });
      closers.push(heldOut);
      requireBatch(whole.length);
      const some = heldOut.length > mostKept ? drawImages(heldOut, mostKept, { seed, order: 'drawn' }) : heldOut;
      const warnings = [...whole.warnings, ...heldOut.warnings];
      return { training: draw(used(whole.length), 0), heldOut: some, heldOutFrom: 'option', order, warnings, close };
    }
    const kept = Math.min(mostKept, Math.floor(keptShare * whole.length));
    if (kept < 1) {
      throw new LowrankError('INPUT', `of ${whole.length} pictures none can be kept out to judge by`, {
        place: data,
        remedy: 'give at least 6, or others to judge by with --val',
      });
    }
    requireBatch(whole.length - kept);
    // The first are those that conversions fit layers to.
    const training = draw(used(whole.length - kept), 0);
    return {
      training,
      heldOut: draw(kept, whole.length - kept),
      heldOutFrom: 'data',
      order,
      warnings: whole.warnings,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Throws INPUT where labels do not fit the classes of the model. */
export function requireLabels({ training, order }: RecoverImages, classes: number | null): void {
  if (order === undefined || classes === null) return;
  requireClasses(training, classes, "list the model's classes with --classes, or leave out --label-weight");
}

/** Loaders for a model's input: shuffled and augmented; in order, as they are. */
export function loadersFor(
  prepared: PreparedModel,
  settings: RecoverSettings & AugmentSettings,
): { training(source: ImageSource): Loader; heldOut(source: ImageSource, batchSize: number): Loader } {
  const { layout, imageDims } = prepared;
  const { width, height, channels } = calledSides(imageDims, layout);
  const transforms = transformsOf(settings, width, height);
  const normalization = normalizationOf(settings, channels);
  const format: OutputFormat = { type: 'float32', layout, channels, normalization };
  const shared = {
    format,
    seed: settings.seed,
    maxBad: settings.maxBad,
    ...(settings.workers === null ? {} : { workers: settings.workers }),
  } as const;
  return {
    training: (source) =>
      createLoader({
        ...{ ...shared, source, batchSize: settings.batchSize },
        transform: transformFor(source, transforms.train),
        ...{ shuffle: true, last: 'drop' },
      }),
    heldOut: (source, batchSize) =>
      createLoader({
        ...{ ...shared, source, batchSize, transform: transformFor(source, transforms.val) },
        ...{ shuffle: false, last: 'keep' },
      }),
  };
}
