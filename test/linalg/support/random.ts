import { fillWords, randomStream } from '../../../src/random.js';

export interface Random {
  /** Uniform on (0, 1). */
  uniform(): number;
  /** N(0, 1). */
  normal(): number;
}

export function createRandom(seed: number): Random {
  const stream = randomStream(seed, 'test');
  const words = new Int32Array(1024);
  let next = words.length;
  let start = 0;
  const uniform = (): number => {
    if (next === words.length) {
      fillWords(stream, words, start);
      start += words.length;
      next = 0;
    }
    return (words[next++]! + 2 ** 31 + 0.5) / 2 ** 32;
  };
  // Box and Muller.
  const normal = (): number => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}
