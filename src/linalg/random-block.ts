import { fillWords, randomStream } from '../random.js';

/** rows × cols numbers, uniform on [−1, 1): a function of (seed, name) alone. */
export function randomBlock(rows: number, cols: number, seed: number, name: string): Float32Array {
  const block = new Float32Array(rows * cols);
  fillRandom(block, seed, name);
  return block;
}

/** `randomBlock` into memory that is there. */
export function fillRandom(block: Float32Array, seed: number, name: string): void {
  const words = new Int32Array(block.buffer, block.byteOffset, block.length);
  fillWords(randomStream(seed, name), words);
  for (let i = 0; i < block.length; i++) block[i] = words[i]! / 2 ** 31;
}
