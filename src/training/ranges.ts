import { count, notNegative, type NumberOf, positive, type Range, share, whole } from '../range.js';
import { adaptRanges } from '../adapt/settings.js';
import { graphRanges } from '../step/ranges.js';
import type { TrainSettings } from './options.js';

/** The numbers of a training. */
export const trainRanges = {
  ...graphRanges,
  ...adaptRanges,
  epochs: count,
  batchSize: count,
  accumulate: count,
  lr: positive,
  warmup: notNegative,
  minLr: notNegative,
  decayEvery: positive,
  decayFactor: positive,
  ema: share,
  seed: whole,
  imageSize: count,
  resize: count,
  minScale: { type: 'number', above: 0, maximum: 1 },
  retreats: whole,
  maxBad: whole,
  cache: whole,
  checkpointEvery: count,
  keepCheckpoints: count,
  saveEvery: count,
  gpuMemory: count,
  threads: count,
  workers: whole,
} as const satisfies Record<Exclude<NumberOf<TrainSettings>, 'microBatch' | 'warmupFull'>, Range>;
