import { join } from 'node:path';
import { LowrankError, throwIfAborted } from '../errors.js';
import { sizeOf } from '../ops/support/layout.js';
import { fillTruncatedNormal, randomStream } from '../random.js';
import { readRegularText } from '../files/regular.js';
import { checkpointsOf, listCheckpoints } from './checkpoint.js';
import { drawMasks } from '../step/masks.js';
import type { TrainSettings } from './options.js';
import { isOutOfMemory, outOfMemory } from './out-of-memory.js';
import { openTrainingSession, type RunMode, type SessionCall } from './session.js';
import { blankTargets } from '../step/losses/index.js';

/** Runs of `microBatch` images in place of runs of `batchSize`: as many more are accumulated. Throws USAGE. */
function inRunsOf(settings: TrainSettings, microBatch: number): TrainSettings {
  const { batchSize, accumulate } = settings;
  if (Number.isInteger(microBatch) && microBatch >= 1 && batchSize % microBatch === 0) {
    return { ...settings, batchSize: microBatch, accumulate: (accumulate * batchSize) / microBatch, microBatch };
  }
  throw new LowrankError('USAGE', `a batch of ${batchSize} images is no whole number of runs of ${microBatch}`, {
    place: '--micro-batch',
    remedy: `choose one of ${divisorsOf(batchSize).join(', ')}`,
  });
}

function divisorsOf(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1).filter((size) => count % size === 0);
}

/** What `auto` tries: the whole batch, then each time the largest divisor of at most half of what was too much. */
export function sizesToTry(batchSize: number): readonly number[] {
  const divisors = divisorsOf(batchSize).reverse();
  const sizes: number[] = [];
  for (const size of divisors) if (sizes.length === 0 || size <= sizes.at(-1)! / 2) sizes.push(size);
  return sizes;
}

/**
 * The settings with `--micro-batch` carried out: `batchSize` is what one run takes, and `accumulate` makes up for it. `auto`
 * takes what the checkpoint took that the training goes on from; else it does two runs and an update of each size, until one
 * has memory enough. Throws USAGE, RUNTIME where not even one image has, and what `openTrainingSession` throws.
 */
export async function resolveMicroBatch(
  options: SessionCall,
  settings: TrainSettings,
  mode: RunMode = {},
): Promise<TrainSettings> {
  const { microBatch, batchSize } = settings;
  if (microBatch === null) return settings;
  if (microBatch !== 'auto') return inRunsOf(settings, microBatch);
  const saved = options.resume === true ? savedBatchSize(options.output) : undefined;
  if (saved !== undefined && batchSize % saved === 0) return inRunsOf(settings, saved);
  let last: unknown;
  for (const size of sizesToTry(batchSize)) {
    throwIfAborted(options.signal);
    const tried = inRunsOf(settings, size);
    try {
      await tryStep(options, tried, mode);
      options.progress?.note(`micro-batch: ${size} of ${batchSize} images a run, ${tried.accumulate} runs an update`);
      return tried;
    } catch (error) {
      if (!(error instanceof RangeError) && !isOutOfMemory(error)) throw error;
      last = error;
      options.progress?.note(`micro-batch: ${size} images a run do not fit into memory`);
    }
  }
  const { fact } = isOutOfMemory(last) ? last : outOfMemory(last);
  throw new LowrankError('RUNTIME', `not even one image a run fits: ${fact}`, {
    remedy: 'lower --image-size, or take a smaller model',
    cause: last,
  });
}

/** Images of a run in the newest checkpoint beside an output that can be read. */
function savedBatchSize(output: string): number | undefined {
  for (const path of listCheckpoints(checkpointsOf(output))) {
    try {
      const file = JSON.parse(readRegularText(join(path, 'state.json'))) as {
        readonly identity?: { readonly settings?: { readonly batchSize?: unknown } };
      };
      const size = file.identity?.settings?.batchSize;
      if (typeof size === 'number') return size;
    } catch {
      // A torn checkpoint: `train` says so when it looks for one to go on from.
    }
  }
  return undefined;
}

/** As much of an update as takes memory, on random images and with a learning rate of 0. */
async function tryStep(options: SessionCall, settings: TrainSettings, mode: RunMode): Promise<void> {
  const run = await openTrainingSession(options, { ...settings, cache: 0 }, { ...mode, readEvery: 1 });
  try {
    await run.start(undefined, 0);
    const { batchSize, accumulate, seed } = run.settings;
    const { type, dims } = run.gradient.images;
    const floats = new Float32Array(batchSize * sizeOf(dims));
    fillTruncatedNormal(randomStream(seed, 'micro-batch'), floats, 0, 1);
    const images = type === 'float32' ? floats : Uint8Array.from(floats, (value) => 128 + 40 * value);
    const flips = new Uint8Array(batchSize);
    for (let micro = 0; micro < Math.min(accumulate, 2); micro++) {
      const masks = drawMasks(run.masks, batchSize, seed, 0, micro);
      const labels = blankTargets(run.gradient.targets, batchSize)['labels']?.data;
      await run.trainer.accumulate({ images, labels, flips, masks });
    }
    await run.trainer.update(0);
  } catch (error) {
    // It fits; whether the numbers are good is seen in the training.
    if (!(error instanceof LowrankError) || error.code !== 'NUMERIC') throw error;
  } finally {
    await run.close();
  }
}
