import { LowrankError } from '../errors.js';
import type { MicroBatch } from './trainer.js';

/** A batch that stays as it is where its memory is filled anew. */
export function copyBatch({ images, flips, labels, taught, masks }: MicroBatch): MicroBatch {
  if (taught !== undefined) throw new LowrankError('INTERNAL', 'ranks are not found with a teacher');
  return {
    images: images.slice(),
    ...(flips === undefined ? {} : { flips: flips.slice() }),
    ...(labels === undefined ? {} : { labels: labels.slice() }),
    ...(masks === undefined
      ? {}
      : { masks: Object.fromEntries(Object.entries(masks).map(([name, mask]) => [name, mask.slice()])) }),
  };
}
