import { drawImages } from '../data/subset.js';
import type { ImageSource } from '../data/types.js';
import { LowrankError } from '../errors.js';
import type { Closers } from './session.js';
import { createValidator, type ValidatorOptions } from './session-validation.js';

/** Says how good weights are behind a trial of a learning rate. */
export interface RateJudge {
  readonly images: number;
  /** Whether they are validation images, or training images that no trial is trained on. */
  readonly from: 'validation' | 'training';
  /** Batches of the first epoch that have none of them. */
  readonly batches: number;
  /** Mean loss of the weights that the trainer has now. Throws ABORTED. */
  loss(signal: AbortSignal | undefined): Promise<number>;
  close(): Promise<void>;
}

const mostValidation = 400;
/** Without validation images: the last of the first epoch's order, at most a fifth. */
const mostTraining = 256;
const trainingShare = 1 / 5;

export function openRateJudge(
  options: Omit<ValidatorOptions, 'closers'>,
  training: ImageSource,
  batchesPerEpoch: number,
): RateJudge {
  const { validation, settings } = options;
  const { seed, batchSize } = settings;
  const closers: Closers = [];
  const kept = Math.max(1, Math.min(mostTraining, Math.floor(training.length * trainingShare)));
  const some =
    validation === undefined
      ? drawImages(training, kept, { seed, order: 'drawn', first: training.length - kept })
      : drawImages(validation, mostValidation, { seed, order: 'source' });
  const validate = createValidator({ ...options, validation: some, closers });
  return {
    images: some.length,
    from: validation === undefined ? 'training' : 'validation',
    batches: validation === undefined ? Math.max(1, Math.floor((training.length - kept) / batchSize)) : batchesPerEpoch,
    async loss(signal) {
      const found = await validate(() => undefined, signal);
      if (found === undefined) throw new LowrankError('INTERNAL', 'there are no images to judge rates by');
      return found.loss;
    },
    async close() {
      for (const closer of closers.splice(0).reverse()) await closer();
    },
  };
}
