import type { Normalization } from '../data/normalize.js';
import { createLoader, type Loader } from '../data/loader.js';
import { drawImages } from '../data/subset.js';
import type { ImageSource } from '../data/types.js';
import { openUnlabelled } from '../data/unlabelled.js';
import { type ImageInput, pixelsOf } from './image-input.js';
import { centerCrop } from './images.js';

/** Which images without labels a model is shown, and how. */
export interface UnlabelledSettings {
  /** Images that are drawn, by (seed); all where there are fewer. */
  readonly images: number;
  /** Side of the images in pixels; null: what the model says, 224 where it does not. */
  readonly imageSize: number | null;
  /** A name in NORMALIZATIONS; null: what is found out about the model. */
  readonly normalization: string | null;
  readonly mean: readonly number[] | null;
  readonly std: readonly number[] | null;
  readonly seed: number;
  readonly maxBad: number;
  /** Decode threads; null: one per core, at most 4. */
  readonly workers: number | null;
}

export const defaultUnlabelledSettings = {
  imageSize: null,
  normalization: null,
  mean: null,
  std: null,
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
  input: ImageInput,
  options: {
    readonly normalization: Normalization;
    readonly batchSize: number;
    readonly last: 'drop' | 'keep';
    readonly signal?: AbortSignal | undefined;
  },
): Promise<UnlabelledImages> {
  const { signal, last } = options;
  const whole = await openUnlabelled(path, { signal });
  try {
    const source = drawImages(whole, settings.images, { seed: settings.seed, order: 'drawn' });
    const batchSize = Math.min(options.batchSize, source.length);
    const loader = createLoader({
      source,
      transform: centerCrop(input, null),
      format: { type: pixelsOf(input), layout: input.layout, normalization: options.normalization },
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

async function closeBoth(loader: Loader, source: ImageSource): Promise<void> {
  await loader.close();
  await source.close();
}
