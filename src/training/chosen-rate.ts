import type { RateTrial } from '../contracts/recover.js';
import { LowrankError } from '../errors.js';

/** A longer training gains more by a larger rate than a short one does: the largest that gains this share of the best is taken. */
const enough = 0.8;

export const valueOf = ({ loss }: RateTrial): number => loss ?? Infinity;

/**
 * The largest rate of those that gain at least `enough` of what the best one does, or the best where none gains anything. Throws
 * NUMERIC where no loss is finite.
 */
export function chosenRate(trials: readonly RateTrial[], startLoss: number): number {
  const best = trials.reduce((least, trial) => (valueOf(trial) < valueOf(least) ? trial : least));
  if (best.loss === null) {
    throw new LowrankError('NUMERIC', 'no learning rate that was tried gives a loss that is finite', {
      remedy: 'give a lower --lr, or train with --clip 1',
    });
  }
  const least = enough * (startLoss - best.loss);
  if (!(least > 0) || !Number.isFinite(least)) return best.lr;
  return Math.max(...trials.filter((trial) => startLoss - valueOf(trial) >= least).map(({ lr }) => lr));
}
