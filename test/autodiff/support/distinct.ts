import { randomOf } from '../../support/mutate.js';

/** An input whose elements differ by at least 0.1: further apart than the steps of the differences, so that no maximum moves. */
export function distinct(dims: readonly number[], seed = 1): { values: number[]; dims: readonly number[] } {
  const size = dims.reduce((product, dim) => product * dim, 1);
  const random = randomOf(seed);
  const values = Array.from({ length: size }, (_, i) => 0.1 * (i - size / 2));
  for (let i = size - 1; i > 0; i--) {
    const k = random(i + 1);
    [values[i], values[k]] = [values[k]!, values[i]!];
  }
  return { values, dims };
}
