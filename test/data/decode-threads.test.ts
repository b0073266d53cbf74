import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openSource } from '../../src/data/open.js';
import { bytesFormat, epochOf, type KeptBatch } from './support/batches.js';
import { jpeg, shade, tarOf, temporaryFolder, writeClasses } from './support/images.js';

const folder = temporaryFolder();
const rest = {
  transform: { kind: 'center-crop', resize: 16, width: 16, height: 16 },
  format: bytesFormat,
  batchSize: 4,
} as const;

let started = 0;
const count = (): void => void started++;
process.on('worker', count);
afterAll(() => void process.off('worker', count));

describe('decode threads', () => {
  it('are started once for loaders that come one after the other', async () => {
    const source = await openSource(await writeClasses(join(folder, 'classes'), ['a', 'b'], 6));
    const expected = await epochOf({ ...rest, source, workers: 0 });
    expect(await epochOf({ ...rest, source, workers: 2 })).toEqual(expected);
    const before = started;
    for (const workers of [1, 2, 2]) expect(await epochOf({ ...rest, source, workers })).toEqual(expected);
    expect(started).toBe(before);
    // Those that are at work are nobody else's.
    await Promise.all([1, 2].map(() => epochOf({ ...rest, source, workers: 2 })));
    expect(started).toBeLessThanOrEqual(before + 2);
  });

  it('hold no file open for those that come next', async () => {
    const path = join(folder, 'ILSVRC2012_img_train.tar');
    const batches = async (red: number, workers: number): Promise<readonly KeptBatch[]> => {
      const data = await jpeg(shade(20, 20, red, 0, 0));
      const inner = tarOf([{ name: 'n01440764_1.JPEG', data }]);
      // A file of its own: what is open stays as it was.
      writeFileSync(`${path}.new`, tarOf([{ name: 'n01440764.tar', data: inner }]));
      renameSync(`${path}.new`, path);
      const source = await openSource(path);
      const { batches: made } = await epochOf({ ...rest, source, workers });
      await source.close();
      return made;
    };
    const first = await batches(255, 1);
    expect(await batches(0, 1)).toEqual(await batches(0, 0));
    expect(await batches(255, 1)).toEqual(first);
    expect(await batches(0, 1)).not.toEqual(first);
  });
});
