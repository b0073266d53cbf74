import type { DataStamp } from '../data/stamp.js';
import { LowrankError } from '../errors.js';

/**
 * Whether the images are those that a training began with, by what both stamps hold: what is in them, where both have it;
 * else the sizes and, unless `isStrict` is false, the times of their files. Throws USAGE where they are not, with what differs
 * and how to go on. A checkpoint from before there were stamps has none: nothing is compared.
 */
export function requireSameImages(
  place: string,
  found: DataStamp | undefined,
  now: DataStamp | undefined,
  isStrict: boolean | undefined,
): void {
  const refuse = (fact: string, remedy: string): never => {
    throw new LowrankError('USAGE', fact, { place, remedy });
  };
  const anew = 'train with the images as they were, or begin anew from its model.onnx';
  if (found === undefined || now === undefined) {
    if (isStrict === true) refuse('the checkpoint has no hash of the images', 'leave out --strict');
    return;
  }
  const newest = now.newest === null ? '' : `; the newest file is ${now.newest.path}, of ${now.newest.time}`;
  if (found.files !== now.files || found.sizes !== now.sizes) {
    const counts = (stamp: DataStamp): string => `${stamp.bytes} bytes in ${stamp.files} files`;
    refuse(`the images are others than the training began with: ${counts(found)}, now ${counts(now)}${newest}`, anew);
  }
  if (isStrict === false) return;
  if (isStrict === true && found.content === null) {
    refuse('the checkpoint has no hash of the images: the training began without --strict', 'leave out --strict');
  }
  if (found.content !== null && now.content !== null) {
    if (found.content === now.content) return;
    refuse(
      `the images are others than the training began with: their sizes are the same, what is in them is not${newest}`,
      anew,
    );
  }
  if (found.times === now.times) return;
  const compare = found.content === null ? '' : 'give --strict, which compares what is in them, or ';
  refuse(
    `files of the images were changed, or copied, since the training began: their sizes are the same, their times are not${newest}`,
    `${compare}go on with --no-strict where they were only copied or touched, or begin anew from its model.onnx`,
  );
}
