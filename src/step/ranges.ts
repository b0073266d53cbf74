import { notNegative, type NumberOf, positive, type Range, share } from '../range.js';
import type { GraphSettings } from './settings.js';

/** The numbers that the emitted graphs depend on: for the options of commands and the settings of the library alike. */
export const graphRanges = {
  momentum: share,
  beta1: share,
  beta2: share,
  // With none, a gradient of zero is 0/0.
  epsilon: { type: 'number', above: 0, maximum: 1 },
  weightDecay: notNegative,
  frobeniusDecay: notNegative,
  labelSmoothing: share,
  clip: positive,
  dropout: share,
  dropPath: share,
} as const satisfies Record<NumberOf<GraphSettings>, Range>;
