import { throwIfAborted } from '../errors.js';
import type { Driver, RuntimeTensor, SessionOptions } from '../runtime/types.js';

/** Each model has so many turns; a slow phase of the machine then meets all of them. */
const rounds = 3;

/** Milliseconds that a turn takes of one layer, and of a whole model. */
export const layerTurn = 12;
export const modelTurn = 300;

/**
 * Measured milliseconds of one run of each model: the median of at least six runs. They take turns, and each is alone in its
 * turn: threads of a session that is open but idle look for work for some tens of milliseconds after a run, and take a core
 * from the next one, which on two cores made products of half a millisecond take four. A turn lasts `turnMs`, and at least
 * two runs behind one that does not count. Throws RUNTIME, DEVICE or ABORTED.
 */
export async function measureModels(
  driver: Driver,
  models: readonly (string | Uint8Array)[],
  feeds: Readonly<Record<string, RuntimeTensor>>,
  options: SessionOptions,
  turnMs: number,
  signal?: AbortSignal,
): Promise<number[]> {
  const times = models.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, model] of models.entries()) {
      throwIfAborted(signal);
      const session = await driver.createSession(model, options);
      try {
        await session.run(feeds, undefined, { signal });
        const began = performance.now();
        for (let run = 0; run < 2 || performance.now() - began < turnMs; run++) {
          throwIfAborted(signal);
          const start = performance.now();
          await session.run(feeds, undefined, { signal });
          times[index]!.push(performance.now() - start);
        }
      } finally {
        await session.close();
      }
    }
  }
  return times.map(median);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
