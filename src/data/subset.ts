import { LowrankError } from '../errors.js';
import { shuffledOrder } from './order.js';
import type { ImageSource } from './types.js';

/**
 * `count` images of a source, drawn without replacement by (seed), all where it has fewer; in the drawn order, which mixes
 * the classes, or in that of the source; `first` of those drawn are left out. Closing it closes the source. Throws USAGE where `count` is no positive whole
 * number.
 */
export function drawImages(
  source: ImageSource,
  count: number,
  options: { readonly seed: number; readonly order: 'drawn' | 'source'; readonly first?: number },
): ImageSource {
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new LowrankError('USAGE', `${count} images cannot be drawn`, { remedy: 'give a whole number from 1 on' });
  }
  const { seed, order, first = 0 } = options;
  const drawn = shuffledOrder({ length: source.length, seed, epoch: 0, blocks: source.blocks }).slice(
    first,
    first + count,
  );
  const indices = order === 'source' ? drawn.toSorted() : drawn;
  return {
    ...source,
    length: indices.length,
    blocks: undefined,
    label: (index) => source.label(indices[index]!),
    ...(source.targets === undefined ? {} : { targets: (index: number) => source.targets!(indices[index]!) }),
    name: (index) => source.name(indices[index]!),
    locate: (index) => source.locate(indices[index]!),
    read: (index) => source.read(indices[index]!),
    close: () => source.close(),
  };
}
