import { createHash } from 'node:crypto';
import { createLoader, type LoaderOptions } from '../../../src/data/loader.js';
import { NORMALIZATIONS, type OutputFormat } from '../../../src/data/normalize.js';

/** A batch that can be kept and compared. */
export interface KeptBatch {
  readonly index: number;
  readonly size: number;
  readonly dims: readonly number[];
  readonly labels: readonly number[];
  readonly indices: readonly number[];
  /** Of the image bytes. */
  readonly hash: string;
}

export const bytesFormat: OutputFormat = { type: 'uint8', layout: 'nhwc', normalization: NORMALIZATIONS.unit };

/** All batches of an epoch, or `count` of them, of a loader that is closed afterwards; and its bad images. */
export async function epochOf(
  options: LoaderOptions,
  { epoch = 0, start = 0, count = Infinity } = {},
): Promise<{ readonly batches: readonly KeptBatch[]; readonly bad: readonly { name: string; reason: string }[] }> {
  const loader = createLoader(options);
  const batches: KeptBatch[] = [];
  try {
    if (count > 0) {
      for await (const { index, size, dims, labels, indices, images } of loader.batches(epoch, start)) {
        const bytes = new Uint8Array(images.buffer, images.byteOffset, images.byteLength);
        const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
        batches.push({ index, size, dims, labels: Array.from(labels, Number), indices: [...indices], hash });
        if (batches.length === count) break;
      }
    }
    return { batches, bad: loader.bad.map(({ name, reason }) => ({ name, reason })) };
  } finally {
    await loader.close();
  }
}
