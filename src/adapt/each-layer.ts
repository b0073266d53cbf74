import type { LayerFactors } from './factors.js';

/** A few layers at a time: one waits for its small dense problem while another multiplies. */
export async function eachLayer<T>(
  factors: readonly LayerFactors[],
  work: (factors: LayerFactors, at: number) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  for (let at = 0; at < factors.length; at += 2) {
    const some = factors.slice(at, at + 2);
    const settled = await Promise.allSettled(some.map((own, i) => work(own, at + i)));
    for (const each of settled) {
      if (each.status === 'rejected') throw each.reason;
      results.push(each.value);
    }
  }
  return results;
}
