/** A queue: at most `limit` tasks run at a time, the others wait their turn in order. */
export function limiter(limit: number): <T>(task: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (task) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await task();
    } finally {
      // A finished task hands its place to the next one.
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}
