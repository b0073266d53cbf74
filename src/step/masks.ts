import { sizeOf } from '../ops/support/layout.js';
import { fillWords, randomStream } from '../random.js';
import type { MaskInput } from '../contracts/artifacts.js';

/**
 * Masks of a step: 1/(1 − ratio) with probability 1 − ratio, else 0. Every element is a function of (seed, step,
 * micro-batch, mask, position), so a resumed training draws the same.
 */
export function drawMasks(
  masks: readonly MaskInput[],
  batch: number,
  seed: number,
  step: number,
  micro: number,
): Record<string, Float32Array> {
  return Object.fromEntries(
    masks.map(({ name, shape, ratio }) => {
      const size = batch * sizeOf(shape);
      const words = new Int32Array(size);
      fillWords(randomStream(seed, `${name} ${step} ${micro}`), words);
      const threshold = ratio * 2 ** 32;
      const kept = 1 / (1 - ratio);
      return [name, Float32Array.from(words, (word) => (word >>> 0 < threshold ? 0 : kept))];
    }),
  );
}
