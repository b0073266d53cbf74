import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../errors.js';

/**
 * Work in pieces of some tens of milliseconds: yields how much is done (bytes) after each of them, returns the result.
 * Whoever ends it early does so with `throw`, upon which it cleans up.
 */
export type Pieces<Result> = Generator<number, Result, void>;

/** All pieces in one go. */
export function drain<Result>(pieces: Pieces<Result>): Result {
  for (;;) {
    const step = pieces.next();
    if (step.done === true) return step.value;
  }
}

export interface Pace {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number) => void) | undefined;
}

/** Between the pieces the event loop takes its turn, so that signals are seen. Throws ABORTED, after the cleaning up. */
export async function paced<Result>(pieces: Pieces<Result>, { signal, onProgress }: Pace): Promise<Result> {
  for (;;) {
    const step = pieces.next();
    if (step.done === true) return step.value;
    onProgress?.(step.value);
    await setImmediate();
    try {
      throwIfAborted(signal);
    } catch (error) {
      pieces.throw(error);
    }
  }
}
