import { fillWords, randomStream } from '../../random.js';
import type { RuntimeTensor } from '../../runtime/types.js';
import type { CalibrationBatch, CalibrationImages } from '../calibration/types.js';

/** ±1, the same for the same seed, name and number of the run. */
export function drawSigns(name: string, dims: readonly number[], seed: number, run: number): RuntimeTensor {
  const count = dims.reduce((product, dim) => product * dim, 1);
  const words = new Int32Array(count);
  fillWords(randomStream(seed, name), words, run * count);
  return { type: 'float32', dims, data: Float32Array.from(words, (word) => (word < 0 ? -1 : 1)) };
}

/** The images one by one, at most so many; whole batches of a model that takes nothing else. */
export async function* singles(
  images: CalibrationImages,
  most: number,
  isWhole: boolean,
): AsyncGenerator<CalibrationBatch> {
  const { input } = images;
  let done = 0;
  for await (const { feeds, size } of images.batches()) {
    if (isWhole) {
      yield { feeds, size };
      done += size;
      if (done >= most) return;
      continue;
    }
    const { type, dims, data } = feeds[input]!;
    const elements = data.length / size;
    for (let image = 0; image < size; image++) {
      const own = (data as Float32Array).subarray(image * elements, (image + 1) * elements);
      yield { feeds: { [input]: { type, dims: [1, ...dims.slice(1)], data: own } }, size: 1 };
      if (++done >= most) return;
    }
  }
}
