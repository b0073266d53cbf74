import type { Batch } from '../data/batch.js';
import type { Loader } from '../data/loader.js';
import type { MicroBatch } from '../training/trainer.js';

/** What a model learns from, batch after batch without end. */
export interface LearningFeed {
  /** From the n-th batch on, each valid until the next is asked for. */
  batches(first: number): AsyncGenerator<Fed, never, undefined>;
}

/** Without the masks. */
export type Fed = Omit<MicroBatch, 'masks' | 'flips'>;

/** The pictures of a loader, epoch after epoch. `taught`: what is fed beside them. */
export function feedOf(loader: Loader, taught?: (batch: Batch) => Fed['taught']): LearningFeed {
  return {
    async *batches(first) {
      const { batchesPerEpoch } = loader;
      let start = first % batchesPerEpoch;
      for (let epoch = Math.floor(first / batchesPerEpoch); ; epoch++) {
        for await (const batch of loader.batches(epoch, start)) {
          const { images, labels, targets } = batch;
          yield { images, labels: targets ?? labels, ...(taught === undefined ? {} : { taught: taught(batch)! }) };
        }
        start = 0;
      }
    },
  };
}
