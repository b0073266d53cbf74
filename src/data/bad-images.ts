import { LowrankError } from '../errors.js';

/** An image that cannot be used. */
export interface BadImage {
  readonly index: number;
  readonly name: string;
  readonly reason: string;
}

/** Bad images are counted once each, by name, up to a limit. */
export interface BadImages {
  readonly list: readonly BadImage[];
  /** Throws INPUT, naming the first ones, where there are now more than the limit. */
  add(image: BadImage): void;
}

const mostNamed = 3;

/** Counts bad images; `total` is the size of the data set, for the message. */
export function createBadImages(maxBad: number, total: number, path: string): BadImages {
  const known = new Set<number>();
  const list: BadImage[] = [];
  return {
    list,
    add(image) {
      if (known.has(image.index)) return;
      known.add(image.index);
      list.push(image);
      if (list.length <= maxBad) return;
      const first = list.slice(0, mostNamed).map(({ name, reason }) => `'${name}' (${reason})`);
      const more = list.length > mostNamed ? ', …' : '';
      throw new LowrankError(
        'INPUT',
        `${list.length} of ${total} images cannot be used, more than the ${maxBad} that may be: ${first.join(', ')}${more}`,
        { place: path, remedy: "see 'lowrank-data check', remove them, or raise --max-bad" },
      );
    },
  };
}
