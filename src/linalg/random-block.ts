import { fillWords, randomStream } from '../random.js';

/** rows × cols numbers, uniform on [−1, 1): a function of (seed, name) alone. */
export function randomBlock(rows: number, cols: number, seed: number, name: string): Float32Array {
  const words = new Int32Array(rows * cols);
  fillWords(randomStream(seed, name), words);
  const block = new Float32Array(words.length);
  for (let i = 0; i < block.length; i++) block[i] = words[i]! / 2 ** 31;
  return block;
}
