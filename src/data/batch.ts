import { LowrankError, throwIfAborted } from '../errors.js';
import type { BadImages } from './bad-images.js';
import { sampleDims } from './normalize.js';
import { substituteOf } from './order.js';
import type { Pool } from './pool.js';
import { contentOf } from './source.js';
import { flipsAt, type RenderTask, type RenderTaskSettings } from './tasks.js';
import type { ImageSource } from './types.js';

/** Images and labels, valid until the next batch is asked for: the memory is used again. */
export interface Batch {
  readonly epoch: number;
  /** In the epoch. */
  readonly index: number;
  /** Images that count: the first ones. What follows up to dims[0] is zeros, its label 0. */
  readonly size: number;
  /** [N, H, W, C] or [N, C, H, W]; of arrays [N, …]. */
  readonly dims: readonly number[];
  /** In memory that is shared with the decode workers (a SharedArrayBuffer). */
  readonly images: Uint8Array | Float32Array;
  /** One per image of dims[0]. */
  readonly labels: BigInt64Array;
  /** Where the images have several classes each, 0 or 1 for every class: [N, classes]. */
  readonly targets: Float32Array | undefined;
  /** Where the format reports flips: 1 for each image of dims[0] that is to be mirrored. */
  readonly flips: Uint8Array | undefined;
  /** Where the images that count lie in the source. */
  readonly indices: readonly number[];
}

/** A batch whose memory is in use until it is released. */
export interface MadeBatch {
  readonly batch: Batch;
  release(): void;
}

export interface BatchRequest {
  readonly epoch: number;
  /** Of all images of the source. */
  readonly order: Uint32Array;
  readonly index: number;
  /** Stops the work between tasks. */
  readonly signal: AbortSignal;
}

export interface BatchMaker {
  readonly batchBytes: number;
  /** Decodes a batch. Throws INPUT for too many bad images, ABORTED where the signal has fired. */
  make(request: BatchRequest): Promise<MadeBatch>;
}

export interface BatchMakerSettings {
  readonly source: ImageSource;
  readonly pool: Pool;
  readonly settings: RenderTaskSettings;
  readonly batchSize: number;
  /** The last batch of an epoch has fewer places where there are fewer images. */
  readonly isShortAllowed: boolean;
  readonly badPolicy: 'substitute' | 'omit';
  readonly bad: BadImages;
}

/** Memory of a batch, used again and again. */
interface Slot {
  readonly buffer: SharedArrayBuffer;
  readonly labels: BigInt64Array;
}

/** Images that go to a worker together: enough to be worth a message, few enough to share the work evenly. */
const imagesPerTask = 8;

/** Another image for a bad one is looked for so many times. */
const mostSubstitutes = 100;

/** Rows of zeros behind the images that count. */
function targetsOfBatch(
  { targets, classes }: ImageSource,
  indices: readonly number[],
  places: number,
): Float32Array | undefined {
  if (targets === undefined) return undefined;
  const rows = new Float32Array(places * classes.length);
  indices.forEach((index, place) => rows.set(targets(index), place * classes.length));
  return rows;
}

/** Makes batches of a source: whatever was made before, a batch depends on its request alone. */
export function createBatchMaker({
  source,
  pool,
  settings,
  batchSize,
  isShortAllowed,
  badPolicy,
  bad,
}: BatchMakerSettings): BatchMaker {
  const { seed, transform, format } = settings;
  const imageDims = sampleDims(transform, format);
  const imageElements = imageDims.reduce((product, dim) => product * dim, 1);
  const imageBytes = imageElements * (format.type === 'float32' ? 4 : 1);
  const batchBytes = imageBytes * batchSize;
  const free: Slot[] = [];
  const takeSlot = (): Slot =>
    free.pop() ?? { buffer: new SharedArrayBuffer(batchBytes + batchSize), labels: new BigInt64Array(batchSize) };

  /** Decodes into the places of a slot; an image that cannot be used is undefined afterwards, or another one. */
  const fill = async (
    slot: Slot,
    { epoch, index, signal }: BatchRequest,
    images: (number | undefined)[],
  ): Promise<void> => {
    const decode = async (places: readonly number[], attempt: number): Promise<void> => {
      const results = await pool.run('render', async (): Promise<RenderTask> => {
        throwIfAborted(signal);
        const items = places.map(async (place) => ({
          slot: place,
          index: images[place]!,
          content: await contentOf(source, images[place]!),
        }));
        return { kind: 'render', settings, epoch, buffer: slot.buffer, images: await Promise.all(items) };
      });
      const failed = places.filter((place, at) => {
        const failure = results[at];
        if (!failure) return false;
        const image = images[place]!;
        bad.add({ index: image, name: source.name(image), reason: failure.reason });
        images[place] = undefined;
        return true;
      });
      if (badPolicy === 'omit' || failed.length === 0) return;
      if (attempt === mostSubstitutes) {
        throw new LowrankError('INPUT', `no usable image was found in ${attempt} tries`, { place: source.path });
      }
      for (const place of failed) {
        const position = index * batchSize + place;
        images[place] = substituteOf({ length: source.length, seed, epoch }, position, attempt);
      }
      await decode(failed, attempt + 1);
    };
    const places = Array.from(images.keys());
    const work: Promise<void>[] = [];
    for (let at = 0; at < places.length; at += imagesPerTask)
      work.push(decode(places.slice(at, at + imagesPerTask), 0));
    // All of it has to end before the memory is used again.
    const outcomes = await Promise.allSettled(work);
    const failure = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failure !== undefined) throw failure.reason;
  };

  /** Moves the good images to the front, and fills what is left with zeros. */
  const finish = (
    { buffer, labels }: Slot,
    { epoch, index }: BatchRequest,
    images: readonly (number | undefined)[],
  ): Batch => {
    const bytes = new Uint8Array(buffer);
    const flips = new Uint8Array(buffer, flipsAt(buffer, imageBytes));
    const indices: number[] = [];
    for (const [from, image] of images.entries()) {
      if (image === undefined) continue;
      const to = indices.length;
      if (to !== from) bytes.copyWithin(to * imageBytes, from * imageBytes, (from + 1) * imageBytes);
      labels[to] = BigInt(source.label(image));
      flips[to] = flips[from]!;
      indices.push(image);
    }
    const size = indices.length;
    const places = isShortAllowed ? images.length : batchSize;
    bytes.fill(0, size * imageBytes, places * imageBytes);
    labels.fill(0n, size);
    flips.fill(0, size);
    return {
      epoch,
      index,
      size,
      dims: [places, ...imageDims],
      images:
        format.type === 'float32'
          ? new Float32Array(buffer, 0, places * imageElements)
          : new Uint8Array(buffer, 0, places * imageElements),
      labels: labels.subarray(0, places),
      targets: targetsOfBatch(source, indices, places),
      flips: format.reportsFlips === true ? flips.subarray(0, places) : undefined,
      indices,
    };
  };

  return {
    batchBytes,
    async make(request) {
      const slot = takeSlot();
      const release = (): void => {
        free.push(slot);
      };
      const first = request.index * batchSize;
      const images: (number | undefined)[] = Array.from(request.order.subarray(first, first + batchSize));
      try {
        await fill(slot, request, images);
      } catch (error) {
        release();
        throw error;
      }
      return { batch: finish(slot, request, images), release };
    },
  };
}
