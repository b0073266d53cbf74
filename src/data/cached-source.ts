import { LowrankError, throwIfAborted } from '../errors.js';
import { defaultPixelLimit } from './decode.js';
import { inOrder } from './in-order.js';
import type { Pixels } from './pixels.js';
import { createPool, defaultWorkers } from './pool.js';
import { contentOf } from './source.js';
import type { ImageSource } from './types.js';

export interface CacheOptions {
  /** Memory for decoded images. What does not fit is read and decoded in every epoch as before. */
  readonly maxBytes: number;
  /** Larger images are kept with a shorter side of so many pixels, reduced as `packSource` does it. Default: as they are. */
  readonly size?: number | undefined;
  readonly pixelLimit?: number | undefined;
  readonly workers?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** A source of which the first images are in memory, decoded. */
export interface CachedSource extends ImageSource {
  readonly cachedImages: number;
  readonly cachedBytes: number;
}

const imagesPerTask = 8;

/**
 * Decodes a data set once and keeps 8-bit pixels, shared with all threads, as long as they fit into `maxBytes`. Batches are
 * the same as without it, byte for byte, where `size` is not given and every pixel is decoded (`reducedDecoding: false`). Bad
 * images are not kept: the loader meets and counts them. What is kept is color: a loader of other than one or three channels takes
 * it for a bad image. Closing it closes the source. Throws USAGE for impossible options,
 * ABORTED where the signal has fired, and what the source throws.
 */
export async function cachedSource(source: ImageSource, options: CacheOptions): Promise<CachedSource> {
  const { maxBytes, size, pixelLimit = defaultPixelLimit, workers = defaultWorkers(), signal, onProgress } = options;
  check('cache of bytes', maxBytes, 0);
  if (size !== undefined) check('size of cached images', size, 1);
  // Arrays are read as they are: there is nothing to decode.
  if (source.arrays !== undefined) return { ...source, cachedImages: 0, cachedBytes: 0 };
  const cache: (Pixels | undefined)[] = [];
  let cachedImages = 0;
  let cachedBytes = 0;
  const pool = createPool(workers);
  const decode = (task: number): Promise<readonly (Pixels | { readonly reason: string })[]> =>
    pool.run('decode', async () => {
      throwIfAborted(signal);
      const first = task * imagesPerTask;
      const count = Math.min(imagesPerTask, source.length - first);
      const images = await Promise.all(Array.from({ length: count }, (_, at) => contentOf(source, first + at)));
      return { kind: 'decode', size, pixelLimit, images };
    });
  try {
    const tasks = inOrder(Math.ceil(source.length / imagesPerTask), 2 * Math.max(1, workers) + 2, decode);
    reading: for await (const results of tasks) {
      for (const result of results) {
        const isGood = 'data' in result;
        const bytes = isGood ? result.data.length : 0;
        if (cachedBytes + bytes > maxBytes) break reading;
        cache.push(isGood ? result : undefined);
        cachedImages += isGood ? 1 : 0;
        cachedBytes += bytes;
      }
      onProgress?.(cache.length, source.length);
    }
  } finally {
    await pool.close();
  }
  return {
    ...source,
    cachedImages,
    cachedBytes,
    locate: (index) => (cache[index] === undefined ? source.locate(index) : undefined),
    read: (index) => {
      const pixels = cache[index];
      if (pixels === undefined) return source.read(index);
      return Promise.resolve({ pixels, isConverted: true, label: source.label(index), name: source.name(index) });
    },
    close: () => {
      cache.length = 0;
      return source.close();
    },
  };
}

function check(what: string, value: number, minimum: number): void {
  if (Number.isSafeInteger(value) && value >= minimum) return;
  throw new LowrankError('USAGE', `the ${what} is ${value}`, { remedy: `give a whole number of at least ${minimum}` });
}
