import type { DataStamp } from '../data/stamp.js';

/** Something that keeps a training from going on. */
export interface Conflict {
  readonly fact: string;
  /** Ways out. */
  readonly ways: readonly string[];
  /** Whether a new training from the model of the checkpoint is one more. Default true. */
  readonly canBeginAnew?: boolean;
}

/**
 * How the images differ from those that a training began with, by what both stamps hold: what is in them, where both have it;
 * else the sizes and, unless `isStrict` is false, the times of their files. undefined where they do not. A checkpoint from
 * before there were stamps has none: nothing is compared.
 */
export function imagesConflict(
  found: DataStamp | undefined,
  now: DataStamp | undefined,
  isStrict: boolean | undefined,
): Conflict | undefined {
  const unhashed = (fact: string): Conflict => ({ fact, ways: ['leave out --strict'], canBeginAnew: false });
  const asTheyWere = 'train with the images as they were';
  if (found === undefined || now === undefined) {
    return isStrict === true ? unhashed('the checkpoint has no hash of the images') : undefined;
  }
  const newest = now.newest === null ? '' : `; the newest file is ${now.newest.path}, of ${now.newest.time}`;
  if (found.files !== now.files || found.sizes !== now.sizes) {
    const counts = (stamp: DataStamp): string => `${stamp.bytes} bytes in ${stamp.files} files`;
    const fact = `the images are others than the training began with: ${counts(found)}, now ${counts(now)}${newest}`;
    return { fact, ways: [asTheyWere] };
  }
  if (isStrict === false) return undefined;
  if (isStrict === true && found.content === null) {
    return unhashed('the checkpoint has no hash of the images: the training began without --strict');
  }
  if (found.content !== null && now.content !== null) {
    if (found.content === now.content) return undefined;
    const fact = `the images are others than the training began with: their sizes are the same, what is in them is not${newest}`;
    return { fact, ways: [asTheyWere] };
  }
  if (found.times === now.times) return undefined;
  return {
    fact: `files of the images were changed, or copied, since the training began: their sizes are the same, their times are not${newest}`,
    ways: [
      ...(found.content === null ? [] : ['give --strict, which compares what is in them']),
      'go on with --no-strict where they were only copied or touched',
    ],
  };
}
