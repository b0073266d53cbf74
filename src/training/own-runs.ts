import { LowrankError } from '../errors.js';
import type { TrainSettings } from './options.js';

/**
 * The settings of a model that is run at its own batch: runs of so many images in place of runs of `batchSize`. Throws USAGE
 * where that is no whole number.
 */
export function inOwnRuns(settings: TrainSettings, ownBatch: number | undefined): TrainSettings {
  const { batchSize, accumulate } = settings;
  if (ownBatch === undefined || batchSize === ownBatch) return settings;
  if (batchSize % ownBatch === 0) {
    return { ...settings, batchSize: ownBatch, accumulate: (accumulate * batchSize) / ownBatch };
  }
  throw new LowrankError('USAGE', `a batch of ${batchSize} images is no whole number of the model's own ${ownBatch}`, {
    place: '--batch-size',
    remedy: `give a multiple of ${ownBatch} with --batch-size`,
  });
}
