import { plural } from '../report/format.js';
import type { TrainSettings } from './options.js';

/** A head that begins with random weights is still far from the classes after so many updates. */
const few = 12;

/** What to know before a new head gets few updates in all; undefined where it gets more, or there is none. */
export function fewUpdates({ newHead, epochs }: TrainSettings, stepsPerEpoch: number): string | undefined {
  const updates = epochs * stepsPerEpoch;
  if (!newHead || updates > few) return undefined;
  return `a new head gets ${plural(updates, 'update')} in all, which is few: more --epochs, a smaller --batch-size or more images give it more`;
}
