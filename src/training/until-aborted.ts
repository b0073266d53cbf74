import { throwIfAborted } from '../errors.js';

/** The same values, as long as the signal has not fired; then ABORTED at once, whatever is being waited for. */
export async function* untilAborted<Value>(
  values: AsyncIterable<Value>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Value> {
  const iterator = values[Symbol.asyncIterator]();
  let hear: (() => void) | undefined;
  const aborted = new Promise<void>((resolve) => {
    hear = () => resolve();
    signal?.addEventListener('abort', hear, { once: true });
  });
  let isWaiting = false;
  try {
    for (;;) {
      throwIfAborted(signal);
      const next = iterator.next();
      // Nobody may hear of it any more.
      next.catch(() => undefined);
      isWaiting = true;
      const step = await Promise.race([next, aborted]);
      throwIfAborted(signal);
      isWaiting = false;
      if (step === undefined || step.done === true) return;
      yield step.value;
    }
  } finally {
    signal?.removeEventListener('abort', hear!);
    if (!isWaiting) await iterator.return?.();
  }
}
