import { fillWords, type RandomStream } from '../random.js';

/** Numbers of a stream one after the other. */
export interface Draws {
  /** On [0, 1). */
  uniform(): number;
  /** On [from, to). */
  between(from: number, to: number): number;
  /** From 0 to count − 1. */
  whole(count: number): number;
  /** N(0, 1): Box and Muller's transformation of two uniform numbers. */
  normal(): number;
}

export function drawsOf(stream: RandomStream): Draws {
  const words = new Int32Array(256);
  let next = 0;
  const uniform = (): number => {
    const at = next % words.length;
    if (at === 0) fillWords(stream, words, next);
    next++;
    return (words[at]! >>> 0) / 2 ** 32;
  };
  return {
    uniform,
    between: (from, to) => from + (to - from) * uniform(),
    whole: (count) => Math.floor(uniform() * count),
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
  };
}
