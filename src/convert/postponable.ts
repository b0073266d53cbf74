import { saving } from '../files/saving.js';

/** An interruption that waits while there is something to save. */
export interface Postponable {
  /** Fires with the signal that was given, unless that was put off. */
  readonly signal: AbortSignal;
  /** From now on `signal` does not fire, and the process has something to save. */
  postpone(): void;
  /** Nothing is left to be saved. */
  close(): void;
}

export function postponable(asked: AbortSignal | undefined): Postponable {
  const controller = new AbortController();
  let saved: (() => void) | undefined;
  const forward = (): void => {
    if (saved === undefined) controller.abort(asked?.reason);
  };
  if (asked?.aborted === true) forward();
  else asked?.addEventListener('abort', forward, { once: true });
  return {
    signal: controller.signal,
    postpone: () => {
      if (saved !== undefined || controller.signal.aborted) return;
      void saving(() => new Promise<void>((resolve) => (saved = resolve)));
    },
    close: () => {
      asked?.removeEventListener('abort', forward);
      saved?.();
    },
  };
}
