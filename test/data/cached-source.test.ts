import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cachedSource } from '../../src/data/cached-source.js';
import { openSource } from '../../src/data/open.js';
import type { Transform } from '../../src/data/transform.js';
import { failureOf } from '../support/errors.js';
import { bytesFormat, epochOf } from './support/batches.js';
import { jpeg, pattern, shade, temporaryFolder, writeClasses, writeTree } from './support/images.js';

const folder = temporaryFolder();
const transform: Transform = { kind: 'random-resized-crop', width: 16, height: 16, reducedDecoding: false };
const loading = { transform, format: bytesFormat, batchSize: 4, shuffle: true, seed: 3 };

describe('cachedSource', () => {
  it('gives the same batches from memory, whatever fits', async () => {
    const path = await writeClasses(join(folder, 'classes'), ['a', 'b', 'c'], 7);
    const source = await openSource(path);
    const plain = await epochOf({ ...loading, source, workers: 2 });
    // Pictures of 40 × 32 pixels at least: three of them take more than 10,000 bytes, 21 of them less than 200,000.
    for (const [maxBytes, workers] of [
      [0, 1],
      [10_000, 0],
      [200_000, 2],
    ] as const) {
      const cached = await cachedSource(source, { maxBytes, workers });
      expect(cached.cachedBytes).toBeLessThanOrEqual(maxBytes);
      expect(cached.cachedImages).toBe(maxBytes === 0 ? 0 : maxBytes === 10_000 ? 2 : 21);
      expect(await epochOf({ ...loading, source: cached, workers })).toEqual(plain);
    }
    await source.close();
  });

  it('reads no file again', async () => {
    const path = await writeClasses(join(folder, 'gone'), ['a', 'b'], 4);
    const source = await openSource(path);
    const before = await epochOf({ ...loading, source });
    const cached = await cachedSource(source, { maxBytes: 1e6 });
    // What is read now would not decode.
    writeTree(path, Object.fromEntries(Array.from({ length: 8 }, (_, index) => [source.name(index), 'no image'])));
    expect(await epochOf({ ...loading, source: cached })).toEqual(before);
    expect((await epochOf({ ...loading, source, maxBad: 8, last: 'keep', bad: 'omit' })).bad).toHaveLength(8);
    await cached.close();
  });

  it('leaves bad images to the loader, which counts them', async () => {
    const path = await writeClasses(join(folder, 'bad'), ['a', 'b'], 3);
    writeTree(path, { 'b/001.jpg': 'no image' });
    const cached = await cachedSource(await openSource(path), { maxBytes: 1e6 });
    expect(cached.cachedImages).toBe(5);
    const { bad, batches } = await epochOf({ ...loading, source: cached, shuffle: false, maxBad: 1 });
    expect(bad.map(({ name }) => name)).toEqual(['b/001.jpg']);
    expect(batches.map(({ indices }) => indices)).toEqual([[0, 1, 2, 3], [5]]);
    await cached.close();
  });

  it('keeps large images with a shorter side of `size`, small ones as they are', async () => {
    const files = {
      'a/large.jpg': await jpeg(shade(300, 200, 10, 200, 90)),
      'a/small.jpg': await jpeg(pattern(30, 20)),
    };
    const source = await openSource(writeTree(join(folder, 'sizes'), files));
    const cached = await cachedSource(source, { maxBytes: 1e6, size: 50 });
    const sizes = await Promise.all(
      [0, 1].map(async (index) => {
        const image = await cached.read(index);
        return 'pixels' in image ? [image.pixels.width, image.pixels.height] : undefined;
      }),
    );
    expect(sizes).toEqual([
      [75, 50],
      [30, 20],
    ]);
    expect(cached.cachedBytes).toBe(3 * (75 * 50 + 30 * 20));
    await cached.close();
  });

  it('stops where the signal fires, and refuses impossible sizes', async () => {
    const source = await openSource(await writeClasses(join(folder, 'signal'), ['a'], 2));
    await failureOf('ABORTED', () => cachedSource(source, { maxBytes: 1e6, signal: AbortSignal.abort() }));
    await failureOf('USAGE', () => cachedSource(source, { maxBytes: -1 }));
    await failureOf('USAGE', () => cachedSource(source, { maxBytes: 1, size: 0.5 }));
    await source.close();
  });
});
