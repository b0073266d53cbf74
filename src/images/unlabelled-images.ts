import { LowrankError } from '../errors.js';
import { createLoader, type Loader } from '../data/loader.js';
import { drawImages } from '../data/subset.js';
import type { ImageSource } from '../data/types.js';
import { openUnlabelled } from '../data/unlabelled.js';
import { type ImageInput, pixelsOf } from './image-input.js';
import { defaultImageSettings, type ImageSettings } from './image-settings.js';
import type { ImagePreparation } from './preparation.js';

/** Which images without labels a model is shown, and how. */
export interface UnlabelledSettings extends ImageSettings {
  /** Images that are drawn, by (seed); all where there are fewer. */
  readonly images: number;
  readonly seed: number;
  readonly maxBad: number;
  /** Decode threads; null: one per core, at most 4. */
  readonly workers: number | null;
}

/** Images that are kept out of a fit: at most so many, and this share of all where there are not many. */
const mostKept = 128;
const keptShare = 1 / 6;

/** The first to fit on, the others kept out. */
function partOf(
  length: number,
  images: number,
  part: 'fit' | 'kept-out' | undefined,
): { readonly first: number; readonly count: number } {
  if (part === undefined) return { first: 0, count: Math.min(images, length) };
  const kept = Math.min(mostKept, Math.max(length - images, Math.floor(keptShare * length)));
  const fitted = Math.min(images, length - kept);
  return part === 'fit' ? { first: 0, count: fitted } : { first: fitted, count: kept };
}

export const defaultUnlabelledSettings = {
  ...defaultImageSettings,
  seed: 0,
  maxBad: 0,
  workers: null,
} as const satisfies Omit<UnlabelledSettings, 'images'>;

/** Images as a model takes them, in the order in which they were drawn: the same at every pass. */
export interface UnlabelledImages {
  readonly loader: Loader;
  readonly batchSize: number;
  readonly warnings: readonly string[];
  close(): Promise<void>;
}

/** Opens the images. Throws INPUT for what cannot be read, USAGE for settings that do not fit. */
export async function openUnlabelledImages(
  path: string,
  settings: UnlabelledSettings,
  { input, transform, normalization }: ImagePreparation,
  options: {
    readonly batchSize: number;
    readonly last: 'drop' | 'keep';
    /** Default: all that are drawn. */
    readonly part?: 'fit' | 'kept-out' | undefined;
    /** As of `openUnlabelled`. */
    readonly parts?: readonly string[];
    readonly signal?: AbortSignal | undefined;
  },
): Promise<UnlabelledImages> {
  const { signal, last, parts } = options;
  const whole = await openUnlabelled(path, { signal, ...(parts === undefined ? {} : { parts }) });
  try {
    const { first, count } = partOf(whole.length, settings.images, options.part);
    if (count < 1) {
      throw new LowrankError('INPUT', `of ${whole.length} images none is kept out of the fit`, {
        place: path,
        remedy: 'give more images',
      });
    }
    const source = drawImages(whole, count, { seed: settings.seed, order: 'drawn', first });
    const batchSize = Math.min(options.batchSize, source.length);
    requireKind(source, input);
    const loader = createLoader({
      source,
      transform,
      format: { type: pixelsOf(input), layout: input.layout, channels: input.channels, normalization },
      batchSize,
      shuffle: false,
      last,
      maxBad: settings.maxBad,
      signal,
      ...(settings.workers === null ? {} : { workers: settings.workers }),
    });
    return { loader, batchSize, warnings: source.warnings, close: () => closeBoth(loader, whole) };
  } catch (error) {
    await whole.close();
    throw error;
  }
}

/** Throws INPUT where arrays came in the place of pictures, or other arrays than the first of the data set, or the reverse. */
function requireKind({ path, arrays }: ImageSource, input: ImageInput): void {
  const kindOf = (of: ImageSource['arrays']): string =>
    of === undefined ? 'pictures' : `arrays of ${of.type} [${of.dims.join(', ')}]`;
  const [found, wanted] = [kindOf(arrays), kindOf(input.arrays)];
  if (found === wanted) return;
  throw new LowrankError('INPUT', `the data set holds ${found} where there are ${wanted} elsewhere in it`, {
    place: path,
    remedy: 'give one folder of one kind',
  });
}

async function closeBoth(loader: Loader, source: ImageSource): Promise<void> {
  await loader.close();
  await source.close();
}
