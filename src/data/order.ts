import { fillWords, randomStream } from '../random.js';
import { type Draw, wordsPerView } from './transform.js';
import type { Blocks } from './types.js';

/** 2⁻³². */
const wordScale = 2 ** -32;

export interface OrderSettings {
  readonly length: number;
  readonly seed: number;
  readonly epoch: number;
  readonly blocks?: Blocks | undefined;
}

/**
 * The order of one epoch: a permutation of 0 … length − 1 that is a function of (seed, epoch), by Fisher and Yates. Of a
 * source in blocks, the blocks are permuted, and then the images of every `window` blocks among themselves.
 */
export function shuffledOrder({ length, seed, epoch, blocks }: OrderSettings): Uint32Array {
  const order = Uint32Array.from({ length }, (_, index) => index);
  if (blocks === undefined) {
    shuffle(order, seed, `order/${epoch}`);
    return order;
  }
  const blockOrder = Uint32Array.from(blocks.lengths, (_, index) => index);
  shuffle(blockOrder, seed, `blocks/${epoch}`);
  const starts: number[] = [];
  let next = 0;
  for (const count of blocks.lengths) {
    starts.push(next);
    next += count;
  }
  let filled = 0;
  for (let first = 0; first < blockOrder.length; first += blocks.window) {
    const start = filled;
    for (const block of blockOrder.subarray(first, first + blocks.window)) {
      const count = blocks.lengths[block]!;
      for (let index = 0; index < count; index++) order[filled + index] = starts[block]! + index;
      filled += count;
    }
    shuffle(order.subarray(start, filled), seed, `order/${epoch}/${first}`);
  }
  return order;
}

function shuffle(items: Uint32Array, seed: number, name: string): void {
  const stream = randomStream(seed, name);
  const words = new Int32Array(Math.min(items.length, 4096));
  for (let last = items.length - 1, drawn = 0; last > 0; last--, drawn++) {
    const at = drawn % words.length;
    if (at === 0) fillWords(stream, words, drawn);
    const other = Math.floor((words[at]! >>> 0) * wordScale * (last + 1));
    const item = items[last]!;
    items[last] = items[other]!;
    items[other] = item;
  }
}

/** The numbers of the image `index` in `epoch`: the same whatever was drawn before, on any thread. */
export function drawsOf(seed: number, epoch: number): (index: number) => Draw {
  const stream = randomStream(seed, `view/${epoch}`);
  return (index) => {
    const words = new Int32Array(wordsPerView);
    fillWords(stream, words, index * wordsPerView);
    let drawn = 0;
    return () => (words[drawn++]! >>> 0) * wordScale;
  };
}

/**
 * The image that takes the place of a bad one at `position` of an epoch: attempt 0, 1, … until one is good. A function of
 * its arguments alone, so that an epoch can be resumed anywhere.
 */
export function substituteOf(
  { length, seed, epoch }: Omit<OrderSettings, 'blocks'>,
  position: number,
  attempt: number,
): number {
  const words = new Int32Array(1);
  fillWords(randomStream(seed, `substitute/${epoch}/${attempt}`), words, position);
  return Math.floor((words[0]! >>> 0) * wordScale * length);
}
