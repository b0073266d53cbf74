import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../errors.js';

/** Lets signals in between two units of work, and throws ABORTED where one came. */
export async function pause(signal: AbortSignal | undefined): Promise<void> {
  await setImmediate();
  throwIfAborted(signal);
}
