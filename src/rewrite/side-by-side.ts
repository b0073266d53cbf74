import { throwIfAborted } from '../errors.js';

/** Elements of weights that may be in work at a time. */
const largestLoad = 32e6;
const mostAtOnce = 4;

/**
 * Works on items side by side as far as memory allows (`sizeOf`: elements of an item's weight), large ones first: one waits
 * for its small dense problem while another multiplies. Results come in the order of the items.
 * Throws the first error, after the others have ended, or ABORTED.
 */
export async function sideBySide<Item, Result>(
  items: readonly Item[],
  sizeOf: (item: Item) => number,
  work: (item: Item) => Promise<Result>,
  signal?: AbortSignal,
): Promise<Result[]> {
  const results = new Map<Item, Result>();
  const running = new Set<Promise<void>>();
  let load = 0;
  try {
    for (const item of [...items].sort((a, b) => sizeOf(b) - sizeOf(a))) {
      const size = sizeOf(item);
      while (running.size > 0 && (running.size >= mostAtOnce || load + size > largestLoad)) await Promise.race(running);
      throwIfAborted(signal);
      load += size;
      const task = work(item).then((result) => {
        results.set(item, result);
        load -= size;
      });
      const tracked: Promise<void> = task.finally(() => running.delete(tracked));
      running.add(tracked);
    }
    await Promise.all(running);
  } catch (error) {
    await Promise.allSettled(running);
    throw error;
  }
  return items.map((item) => results.get(item)!);
}
