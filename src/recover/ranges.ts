import { count, type NumberOf, positive, type Range, whole } from '../range.js';
import { matchRanges } from '../step/match-settings.js';
import { graphRanges } from '../step/ranges.js';
import type { RecoverSettings } from './settings.js';

/** The numbers of a recovery. */
export const recoverRanges = {
  ...graphRanges,
  ...matchRanges,
  steps: count,
  batchSize: count,
  lr: positive,
  seed: whole,
  imageSize: count,
  resize: count,
  minScale: { type: 'number', above: 0, maximum: 1 },
  maxBad: whole,
  gpuMemory: count,
  threads: count,
  workers: whole,
} as const satisfies Record<NumberOf<RecoverSettings>, Range>;
