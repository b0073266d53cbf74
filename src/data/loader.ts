import { LowrankError, throwIfAborted } from '../errors.js';
import { checkArrayFormat } from './array-writer.js';
import { createBatchMaker, type Batch, type MadeBatch } from './batch.js';
import { createBadImages, type BadImage } from './bad-images.js';
import { defaultPixelLimit } from './decode.js';
import { checkFormat, type OutputFormat } from './normalize.js';
import { shuffledOrder } from './order.js';
import { createPool, defaultWorkers } from './pool.js';
import type { RenderTaskSettings } from './tasks.js';
import { checkTransform, type Transform } from './transform.js';
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
  batches(epoch: number, start?: number): AsyncGenerator<Batch, void, undefined>;
  /** Gives the workers back. The source stays open. */
  close(): Promise<void>;
}

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
  for (const name of ['source', 'transform', 'format', 'batchSize'] as const) {
    if (options[name] === undefined) throw new LowrankError('USAGE', `the loader has no ${name}`);
  }
  checkTransform(transform);
  if (transform.kind === 'as-stored') checkArrayFormat(transform, format);
  else checkFormat(format);
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
  const settings: RenderTaskSettings = { id: loaders++, seed, transform, format, pixelLimit };
  const bad = createBadImages(maxBad, source.length, source.path);
  const pool = createPool(workers);
  const maker = createBatchMaker({
    source,
    pool,
    settings,
    batchSize,
    isShortAllowed: last === 'keep',
    badPolicy,
    bad,
  });
  const ahead = Math.max(1, Math.floor(prefetchBytes / maker.batchBytes));
  let isBusy = false;
  let isClosed = false;
  let waitSeconds = 0;

  async function* batches(epoch: number, start: number): AsyncGenerator<Batch, void, undefined> {
    checkCount('epoch', epoch, 0);
    checkCount('batch', start, 0);
    throwIfAborted(signal);
    if (isClosed) throw new LowrankError('INTERNAL', 'the loader is closed');
    if (isBusy) throw new LowrankError('INTERNAL', 'another epoch of this loader is still being read');
    isBusy = true;
    const cancellation = new AbortController();
    const pending: Promise<MadeBatch>[] = [];
    const order = shuffle
      ? shuffledOrder({ length: source.length, seed, epoch, blocks: source.blocks })
      : Uint32Array.from({ length: source.length }, (_, index) => index);
    let next = start;
    let current: MadeBatch | undefined;
    try {
      while (next < batchesPerEpoch || pending.length > 0) {
        current?.release();
        current = undefined;
        while (next < batchesPerEpoch && pending.length < ahead) {
          const made = maker.make({ epoch, order, index: next++, signal: cancellation.signal });
          // Its error is thrown where the batch is taken.
          made.catch(() => {});
          pending.push(made);
        }
        const asked = performance.now();
        current = await orAborted(pending[0]!, signal);
        waitSeconds += (performance.now() - asked) / 1000;
        void pending.shift();
        yield current.batch;
        throwIfAborted(signal);
      }
    } finally {
      cancellation.abort();
      current?.release();
      // What still decodes writes into memory that the next epoch would use.
      for (const outcome of await Promise.allSettled(pending)) {
        if (outcome.status === 'fulfilled') outcome.value.release();
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
    batches: (epoch, start = 0) => batches(epoch, start),
    async close() {
      isClosed = true;
      await pool.close();
    },
  };
}

function checkCount(what: string, value: number, minimum: number): void {
  if (Number.isSafeInteger(value) && value >= minimum) return;
  throw new LowrankError('USAGE', `the ${what} is ${value}`, { remedy: `give a whole number of at least ${minimum}` });
}

/** The promise's outcome, or ABORTED as soon as the signal fires. */
function orAborted<Value>(promise: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(new LowrankError('ABORTED', 'interrupted'));
    };
    signal.addEventListener('abort', abort, { once: true });
    const settled = (): void => {
      signal.removeEventListener('abort', abort);
    };
    promise.then(resolve, reject).then(settled, settled);
  });
}
