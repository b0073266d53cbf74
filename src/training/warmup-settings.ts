import { LowrankError } from '../errors.js';
import { plural } from '../report/format.js';
import type { TrainSettings } from './options.js';

type WarmupSettings = Pick<TrainSettings, 'warmupFull' | 'conversion' | 'epochs' | 'insertBn' | 'adaptRanks'>;

/** The most epochs in full rank where they end by themselves: half of all, so that pairs are trained as long. */
export function mostFullEpochs({ epochs }: Pick<TrainSettings, 'epochs'>): number {
  return Math.floor(epochs / 2);
}

/** Throws USAGE for epochs in full rank that no training can mean. */
export function checkWarmup({ warmupFull, conversion, epochs, insertBn, adaptRanks }: WarmupSettings): void {
  if (warmupFull === null) {
    if (conversion === null) return;
    throw new LowrankError('USAGE', '--then says what comes behind epochs in full rank, and there are none', {
      remedy: 'give --warmup-full, or leave --then out',
    });
  }
  if (warmupFull !== 'auto' && !(Number.isSafeInteger(warmupFull) && warmupFull >= 1)) {
    throw new LowrankError('USAGE', `--warmup-full is ${JSON.stringify(warmupFull)}`, {
      remedy: 'give a whole number of epochs, or auto',
    });
  }
  const full = warmupFull === 'auto' ? mostFullEpochs({ epochs }) : warmupFull;
  if (full < 1 || full >= epochs) {
    const given = plural(epochs, 'epoch');
    throw new LowrankError('USAGE', `of ${given} --warmup-full ${warmupFull} leaves none for the pairs`, {
      remedy: warmupFull === 'auto' ? 'raise --epochs' : 'lower --warmup-full, or raise --epochs',
    });
  }
  if (adaptRanks !== null) {
    throw new LowrankError('USAGE', 'ranks are found while it trains, or behind epochs in full rank', {
      place: '--warmup-full, --adapt-ranks',
      remedy: 'give one of them',
    });
  }
  if (!insertBn) return;
  throw new LowrankError('USAGE', '--insert-bn folds at the end what the conversion would have cut up before', {
    remedy: 'leave out --insert-bn',
  });
}
