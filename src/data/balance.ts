import { LowrankError } from '../errors.js';
import type { ImageSource } from './types.js';

/** Images per class, in the order of the labels. */
export function classCounts(source: ImageSource): readonly number[] {
  const counts = source.classes.map(() => 0);
  for (let index = 0; index < source.length; index++) counts[source.label(index)]! += 1;
  return counts;
}

/**
 * Throws INPUT where a class of the data set's own has no images: it would be trained as an output that is always wrong. With
 * a given class list that is allowed.
 */
export function checkTrainable(source: ImageSource): void {
  if (source.hasGivenClasses) return;
  const empty = classCounts(source).flatMap((count, label) => (count === 0 ? [label] : []));
  if (empty.length === 0) return;
  const names = empty.slice(0, 3).map((label) => `'${source.classes[label]!}'`);
  throw new LowrankError(
    'INPUT',
    `${empty.length} of ${source.classes.length} classes have no images: ${names.join(', ')}${empty.length > 3 ? ', …' : ''}`,
    { place: source.path, remedy: 'add images, remove the empty folders, or give a class list (--classes)' },
  );
}
