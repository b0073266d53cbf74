/**
 * The results of `start` for 0 … count − 1, in order, up to `ahead` of them being worked on. Leaving the loop early waits for
 * those that were begun. Throws what they throw.
 */
export async function* inOrder<Result>(
  count: number,
  ahead: number,
  start: (index: number) => Promise<Result>,
): AsyncGenerator<Result, void, undefined> {
  const pending: Promise<Result>[] = [];
  let next = 0;
  try {
    while (next < count || pending.length > 0) {
      while (next < count && pending.length < ahead) {
        const result = start(next++);
        // Its error is thrown where the result is taken.
        result.catch(() => {});
        pending.push(result);
      }
      const result = await pending[0]!;
      void pending.shift();
      yield result;
    }
  } finally {
    await Promise.allSettled(pending);
  }
}
