import type { CalibrationBatch, CalibrationImages } from '../../../src/factorize/calibration/types.js';
import { normals } from './weights.js';

/** Batches of normal numbers around `mean`, of these sizes. */
export function imagesOf(
  input: string,
  dims: readonly number[],
  sizes: readonly number[],
  mean = 0,
): CalibrationImages {
  const count = dims.slice(1).reduce((product, dim) => product * dim, 1);
  const images = sizes.reduce((sum, size) => sum + size, 0);
  async function* batches(): AsyncGenerator<CalibrationBatch> {
    let first = 0;
    for (const size of sizes) {
      const data = new Float32Array(size * count);
      for (let i = 0; i < size; i++)
        data.set(
          normals(count, 1, `image ${first + i}`).map((value) => mean + value),
          i * count,
        );
      first += size;
      const tensor = { type: 'float32', dims: [size, ...dims.slice(1)], data } as const;
      yield await Promise.resolve({ feeds: { [input]: tensor }, size });
    }
  }
  return {
    input,
    dims,
    images,
    batches,
    summary: () => ({
      data: 'drawn',
      images,
      imageSize: 0,
      normalization: { mean: [0, 0, 0], deviation: [1, 1, 1] },
      normalizationName: 'unit',
      normalizationFrom: 'option',
      badImages: 0,
    }),
    warnings: [],
    close: () => Promise.resolve(),
  };
}
