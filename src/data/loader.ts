import { LowrankError, throwIfAborted } from '../errors.js';
import { createBadImages } from './bad-images.js';
import type { BadImage } from './bad-images.js';
import { defaultPixelLimit } from './decode.js';
import { checkNormalization } from './normalize.js';
import type { OutputFormat } from './normalize.js';
import { shuffledOrder, substituteOf } from './order.js';
import { createPool, defaultWorkers } from './pool.js';
import { contentOf } from './source.js';
import type { RenderTask, RenderTaskSettings } from './tasks.js';
import { checkTransform } from './transform.js';
import type { Transform } from './transform.js';
import type { ImageSource } from './types.js';

export interface LoaderOptions {
  readonly source: ImageSource;
  readonly transform: Transform;
  readonly format: OutputFormat;
  readonly batchSize: number;
  /** A whole number from 0 to 2⁵³ − 1; with the epoch and the image it decides every random number. Default: 0. */
  readonly seed?: number;
  /** A new order in every epoch. Default: false, the order of the source. */
  readonly shuffle?: boolean;
  /**
   * What becomes of the last batch where it is not full: left out, filled up with zeros, or shorter than the others.
   * Default: 'drop' where shuffled, else 'keep'.
   */
  readonly last?: 'drop' | 'pad' | 'keep';
  /**
   * What becomes of an image that cannot be used: another one, chosen by (seed, epoch, position), takes its place, or its
   * batch has one image less. Default: 'substitute' where shuffled, else 'omit'.
   */
  readonly bad?: 'substitute' | 'omit';
  /** So many images may be bad before `INPUT` is thrown. Default: 0. */
  readonly maxBad?: number;
  /** Images of more pixels are bad. Default: `defaultPixelLimit`. */
  readonly pixelLimit?: number;
  /** Threads; 0 decodes on this one. The batches do not depend on it. Default: `defaultWorkers()`. */
  readonly workers?: number;
  /** Memory for batches that are ready or being made, the one in use not counted; one batch at least. Default: 128 MiB. */
  readonly prefetchBytes?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Images and labels, valid until the next batch is asked for: the memory is used again. */
export interface Batch {
  readonly epoch: number;
  /** In the epoch. */
  readonly index: number;
  /** Images that count: the first ones. What follows up to dims[0] is zeros, its label 0. */
  readonly size: number;
  /** [N, H, W, 3] or [N, 3, H, W]. */
  readonly dims: readonly [number, number, number, number];
  /** In memory that is shared with the decode workers (a SharedArrayBuffer). */
  readonly images: Uint8Array | Float32Array;
  /** One per image of dims[0]. */
  readonly labels: BigInt64Array;
  /** Where the images that count lie in the source. */
  readonly indices: readonly number[];
}

export interface Loader {
  readonly batchesPerEpoch: number;
  /** Images of an epoch, bad ones included. */
  readonly imagesPerEpoch: number;
  /** All that were met so far, each once. */
  readonly bad: readonly BadImage[];
  /** Seconds in which a batch was asked for and not ready, since the loader was made. */
  readonly waitSeconds: number;
  /**
   * The batches of an epoch in order, from `start` on; those before are not decoded. One epoch at a time. Leaving the loop
   * stops the workers' work for it. Throws INPUT for too many bad images, ABORTED where the signal has fired.
   */
  epoch(epoch: number, start?: number): AsyncGenerator<Batch, void, undefined>;
  /** Ends the workers. The source stays open. */
  close(): Promise<void>;
}

/** A batch in the making. */
interface Slot {
  readonly buffer: SharedArrayBuffer;
  readonly labels: BigInt64Array;
}

/** Images that go to a worker together: enough to be worth a message, few enough to share the work evenly. */
const imagesPerTask = 8;

/** Another image for a bad one is looked for so many times. */
const mostSubstitutes = 100;

let loaders = 0;

/**
 * Batches of decoded images. All of it is a function of the options but `workers` and `prefetchBytes`: the same batches, byte
 * for byte, with any number of workers, and from any batch on. Throws USAGE for impossible options, INPUT where the source
 * has fewer images than a batch that must be full.
 */
export function createLoader(options: LoaderOptions): Loader {
  const { source, transform, format, batchSize, signal } = options;
  const { seed = 0, shuffle = false, maxBad = 0, pixelLimit = defaultPixelLimit } = options;
  const { last = shuffle ? 'drop' : 'keep', bad: badPolicy = shuffle ? 'substitute' : 'omit' } = options;
  const { workers = defaultWorkers(), prefetchBytes = 2 ** 27 } = options;
  checkTransform(transform);
  checkNormalization(format.normalization);
  checkCount('batch size', batchSize, 1);
  checkCount('seed', seed, 0);
  checkCount('max-bad', maxBad, 0);
  checkCount('pixel limit', pixelLimit, 1);
  const batchesPerEpoch =
    last === 'drop' ? Math.floor(source.length / batchSize) : Math.ceil(source.length / batchSize);
  if (batchesPerEpoch === 0) {
    throw new LowrankError('INPUT', `the data set has ${source.length} images, fewer than a batch of ${batchSize}`, {
      place: source.path,
      remedy: 'take a smaller batch size',
    });
  }
  const { width, height } = transform;
  const imageElements = width * height * 3;
  const imageBytes = imageElements * (format.type === 'float32' ? 4 : 1);
  const slotCount = 1 + Math.min(batchesPerEpoch, Math.max(1, Math.floor(prefetchBytes / (imageBytes * batchSize))));
  const settings: RenderTaskSettings = { id: loaders++, seed, transform, format, pixelLimit };
  const bad = createBadImages(maxBad, source.length, source.path);
  const pool = createPool(workers);
  const slots: Slot[] = [];
  let isBusy = false;
  let isClosed = false;
  let waitSeconds = 0;

  const takeSlot = (): Slot => {
    const free = slots.pop();
    if (free !== undefined) return free;
    return { buffer: new SharedArrayBuffer(imageBytes * batchSize), labels: new BigInt64Array(batchSize) };
  };

  /** Decodes one batch. `run.isCancelled` stops it between tasks. */
  const make = async (run: Run, epoch: number, order: Uint32Array, index: number): Promise<Made> => {
    const slot = takeSlot();
    const first = index * batchSize;
    const count = Math.min(batchSize, source.length - first);
    const indices = Array.from(order.subarray(first, first + count));
    const isGood: boolean[] = indices.map(() => false);

    const decode = async (places: readonly number[]): Promise<void> => {
      const results = await pool.run('render', async (): Promise<RenderTask> => {
        if (run.isCancelled) throw new LowrankError('ABORTED', 'interrupted');
        const images: RenderTask['images'] = await Promise.all(
          places.map(async (place) => ({
            slot: place,
            index: indices[place]!,
            content: await contentOf(source, indices[place]!),
          })),
        );
        return { kind: 'render', settings, epoch, buffer: slot.buffer, images };
      });
      const failed = places.filter((place, at) => {
        const failure = results[at];
        if (!failure) {
          isGood[place] = true;
          return false;
        }
        const image = indices[place]!;
        bad.add({ index: image, name: source.name(image), reason: failure.reason });
        return true;
      });
      await replace(failed);
    };
    const attempts = indices.map(() => 0);
    const replace = async (places: readonly number[]): Promise<void> => {
      if (badPolicy === 'omit' || places.length === 0) return;
      for (const place of places) indices[place] = substitute(place);
      await decode(places);
    };
    const substitute = (place: number): number => {
      const attempt = attempts[place]!++;
      if (attempt < mostSubstitutes)
        return substituteOf({ length: source.length, seed, epoch }, first + place, attempt);
      throw new LowrankError('INPUT', `no usable image was found in ${mostSubstitutes} tries`, { place: source.path });
    };

    // Bad images of earlier epochs are tried again: what a batch holds must not depend on what was seen before.
    const places = Array.from(indices.keys());
    const work: Promise<void>[] = [];
    for (let at = 0; at < count; at += imagesPerTask) work.push(decode(places.slice(at, at + imagesPerTask)));
    const outcomes = await Promise.allSettled(work);
    const failure = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failure !== undefined) {
      slots.push(slot);
      throw failure.reason;
    }
    return { slot, batch: finish(slot, epoch, index, indices, isGood) };
  };

  /** Moves the good images to the front, and fills what is left. */
  const finish = (
    { buffer, labels }: Slot,
    epoch: number,
    index: number,
    indices: readonly number[],
    isGood: readonly boolean[],
  ): Batch => {
    const bytes = new Uint8Array(buffer);
    const good = indices.flatMap((_, place) => (isGood[place] === true ? [place] : []));
    for (const [to, from] of good.entries()) {
      if (to !== from) bytes.copyWithin(to * imageBytes, from * imageBytes, (from + 1) * imageBytes);
    }
    const kept = good.map((place) => indices[place]!);
    const count = last === 'keep' ? indices.length : batchSize;
    const images =
      format.type === 'float32'
        ? new Float32Array(buffer, 0, count * imageElements)
        : new Uint8Array(buffer, 0, count * imageElements);
    images.fill(0, good.length * imageElements);
    for (let place = 0; place < count; place++) {
      const image = kept[place];
      labels[place] = image === undefined ? 0n : BigInt(source.label(image));
    }
    return {
      epoch,
      index,
      size: good.length,
      dims: format.layout === 'nhwc' ? [count, height, width, 3] : [count, 3, height, width],
      images,
      labels: labels.subarray(0, count),
      indices: kept,
    };
  };

  async function* batches(epoch: number, start: number): AsyncGenerator<Batch, void, undefined> {
    checkCount('epoch', epoch, 0);
    checkCount('batch', start, 0);
    throwIfAborted(signal);
    if (isClosed) throw new LowrankError('INTERNAL', 'the loader is closed');
    if (isBusy) throw new LowrankError('INTERNAL', 'another epoch of this loader is still being read');
    isBusy = true;
    const run: Run = { isCancelled: false };
    const pending: Promise<Made>[] = [];
    const aborted = abortion(signal);
    const order = shuffle
      ? shuffledOrder({ length: source.length, seed, epoch, blocks: source.blocks })
      : Uint32Array.from({ length: source.length }, (_, index) => index);
    let next = start;
    let current: Made | undefined;
    try {
      while (next < batchesPerEpoch || pending.length > 0) {
        if (current !== undefined) slots.push(current.slot);
        current = undefined;
        while (next < batchesPerEpoch && pending.length < slotCount - 1) {
          const made = make(run, epoch, order, next++);
          // Its error is thrown where the batch is taken.
          made.catch(() => {});
          pending.push(made);
        }
        const asked = performance.now();
        current = await Promise.race([pending[0]!, aborted.promise]);
        waitSeconds += (performance.now() - asked) / 1000;
        void pending.shift();
        yield current.batch;
        throwIfAborted(signal);
      }
    } finally {
      run.isCancelled = true;
      aborted.dispose();
      if (current !== undefined) slots.push(current.slot);
      // What still decodes writes into memory that the next epoch would use.
      for (const outcome of await Promise.allSettled(pending)) {
        if (outcome.status === 'fulfilled') slots.push(outcome.value.slot);
      }
      isBusy = false;
    }
  }

  return {
    batchesPerEpoch,
    imagesPerEpoch: last === 'drop' ? batchesPerEpoch * batchSize : source.length,
    bad: bad.list,
    get waitSeconds() {
      return waitSeconds;
    },
    epoch: (epoch, start = 0) => batches(epoch, start),
    async close() {
      isClosed = true;
      await pool.close();
    },
  };
}

interface Run {
  isCancelled: boolean;
}

interface Made {
  readonly slot: Slot;
  readonly batch: Batch;
}

function checkCount(what: string, value: number, minimum: number): void {
  if (Number.isSafeInteger(value) && value >= minimum) return;
  throw new LowrankError('USAGE', `the ${what} is ${value}`, { remedy: `give a whole number of at least ${minimum}` });
}

/** A promise that is rejected when the signal fires. */
function abortion(signal: AbortSignal | undefined): { readonly promise: Promise<never>; dispose(): void } {
  let listener: (() => void) | undefined;
  const promise = new Promise<never>((_, reject) => {
    listener = () => {
      reject(new LowrankError('ABORTED', 'interrupted'));
    };
    signal?.addEventListener('abort', listener, { once: true });
  });
  promise.catch(() => {});
  return {
    promise,
    dispose() {
      if (listener !== undefined) signal?.removeEventListener('abort', listener);
    },
  };
}
