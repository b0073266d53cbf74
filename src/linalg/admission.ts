import { LowrankError, throwIfAborted } from '../errors.js';

/** Lets tasks in, in the order they came, while their number and their sizes together stay within bounds. */
export interface Admission {
  /** Runs `task` once there is room; one larger than the budget runs alone. Throws ABORTED while it waits. */
  run<T>(size: number, signal: AbortSignal | undefined, task: () => Promise<T>): Promise<T>;
}

interface Waiting {
  readonly size: number;
  readonly enter: () => void;
}

export function createAdmission(mostTasks: number, budget: number): Admission {
  const queue: Waiting[] = [];
  let tasks = 0;
  let load = 0;
  const admit = (): void => {
    for (;;) {
      const first = queue[0];
      if (first === undefined || tasks >= mostTasks || (tasks > 0 && load + first.size > budget)) return;
      queue.shift();
      tasks++;
      load += first.size;
      first.enter();
    }
  };
  return {
    run: async (size, signal, task) => {
      let onAbort: (() => void) | undefined;
      await new Promise<void>((resolve, reject) => {
        const waiting: Waiting = { size, enter: resolve };
        onAbort = () => {
          const place = queue.indexOf(waiting);
          if (place < 0) return;
          queue.splice(place, 1);
          reject(new LowrankError('ABORTED', 'interrupted'));
          admit();
        };
        signal?.addEventListener('abort', onAbort, { once: true });
        queue.push(waiting);
        admit();
      });
      if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
      try {
        throwIfAborted(signal);
        return await task();
      } finally {
        tasks--;
        load -= size;
        admit();
      }
    },
  };
}
