import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { plainClasses } from '../../src/data/class-list.js';
import { createLoader, type LoaderOptions } from '../../src/data/loader.js';
import { NORMALIZATIONS, normalizationTable, type OutputFormat } from '../../src/data/normalize.js';
import { openSource } from '../../src/data/open.js';
import type { ImageSource } from '../../src/data/types.js';
import { failureOf } from '../support/errors.js';
import { hasShared, sharedFolder } from '../support/shared.js';
import { bytesFormat, epochOf } from './support/batches.js';
import { jpeg, shade, temporaryFolder, writeClasses, writeTree } from './support/images.js';

const folder = temporaryFolder();
const crop = { kind: 'random-resized-crop', width: 16, height: 12 } as const;
const center = { kind: 'center-crop', resize: 16, width: 16, height: 16 } as const;
const path = await writeClasses(join(folder, 'classes'), ['a', 'b', 'c'], 7);
const source = await openSource(path);
const training = { source, transform: crop, format: bytesFormat, batchSize: 4, shuffle: true, seed: 11 };

describe('batches', () => {
  it('are the same for any number of workers and any prefetching', async () => {
    const expected = await epochOf({ ...training, workers: 0, prefetchBytes: 0 });
    expect(expected.batches).toHaveLength(5);
    for (const [workers, prefetchBytes] of [
      [1, 2 ** 27],
      [3, 0],
      [4, 2 ** 27],
    ] as const) {
      expect(await epochOf({ ...training, workers, prefetchBytes })).toEqual(expected);
    }
  });

  it('go on from any batch, and differ by epoch and seed', async () => {
    const first = await epochOf(training);
    expect((await epochOf(training, { start: 3 })).batches).toEqual(first.batches.slice(3));
    expect((await epochOf(training, { start: 5 })).batches).toEqual([]);
    const second = await epochOf(training, { epoch: 1 });
    const other = await epochOf({ ...training, seed: 12 });
    const hashes = [first, second, other].flatMap(({ batches }) => batches.map(({ hash }) => hash));
    expect(new Set(hashes).size).toBe(15);
  });

  it('hold every image once, and what a last batch lacks is dropped, kept short, or zeros', async () => {
    const all = await epochOf({ ...training, last: 'keep' });
    const indices = all.batches.flatMap((batch) => [...batch.indices]);
    expect(indices.toSorted((one, other) => one - other)).toEqual(Array.from({ length: 21 }, (_, index) => index));
    expect(all.batches.at(-1)).toMatchObject({ size: 1, dims: [1, 12, 16, 3] });
    for (const { indices: some, labels } of all.batches) {
      expect(labels).toEqual(some.map((index) => Math.floor(index / 7)));
    }
    expect((await epochOf(training)).batches).toEqual(all.batches.slice(0, 5));
    const loader = createLoader({ ...training, last: 'pad' });
    expect([loader.batchesPerEpoch, loader.imagesPerEpoch]).toEqual([6, 21]);
    for await (const { size, dims, images, labels } of loader.batches(0, 5)) {
      expect([size, dims, labels.length]).toEqual([1, [4, 12, 16, 3], 4]);
      expect(images.subarray(0, 576).some((value) => value !== 0)).toBe(true);
      expect(images.subarray(576).every((value) => value === 0)).toBe(true);
    }
    await loader.close();
  });

  it('have the same values in any layout, normalized', async () => {
    const read = async (type: 'uint8' | 'float32', layout: 'nhwc' | 'nchw'): Promise<[number[], number[]]> => {
      const format = { type, layout, normalization: NORMALIZATIONS.imagenet };
      const loader = createLoader({ source, transform: center, format, batchSize: 2 });
      for await (const { images, dims } of loader.batches(0)) {
        const found: [number[], number[]] = [[...dims], Array.from(images)];
        await loader.close();
        return found;
      }
      throw new Error('no batch');
    };
    const [dims, bytes] = await read('uint8', 'nhwc');
    expect(dims).toEqual([2, 16, 16, 3]);
    const tables = normalizationTable(NORMALIZATIONS.imagenet);
    const floats = bytes.map((value, at) => tables[at % 3]![value]!);
    expect(await read('float32', 'nhwc')).toEqual([dims, floats]);
    const planes = (values: readonly number[]): number[] =>
      values.map((_, at) => {
        const [image, rest] = [Math.floor(at / 768), at % 768];
        const [channel, pixel] = [Math.floor(rest / 256), rest % 256];
        return values[image * 768 + pixel * 3 + channel]!;
      });
    expect(await read('uint8', 'nchw')).toEqual([[2, 3, 16, 16], planes(bytes)]);
    expect(await read('float32', 'nchw')).toEqual([[2, 3, 16, 16], planes(floats)]);
  });

  it('keep labels above 255', async () => {
    const classes = plainClasses(
      Array.from({ length: 1000 }, (_, index) => (index < 997 ? `${index}` : 'abc'[index - 997]!)),
    );
    const wide = await openSource(path, { classes });
    const { batches } = await epochOf({ ...training, source: wide, shuffle: false, batchSize: 21 });
    expect(new Set(batches[0]!.labels)).toEqual(new Set([997, 998, 999]));
  });
});

describe('bad images', () => {
  const spoil = async (name: string): Promise<ImageSource> => {
    const spoilt = await writeClasses(join(folder, name), ['a', 'b'], 6);
    writeTree(spoilt, { 'a/003.jpg': 'no image', 'b/001.jpg': '' });
    return openSource(spoilt);
  };

  it('are counted, named and left out, up to a limit', async () => {
    const spoilt = await spoil('omit');
    const options = { ...training, source: spoilt, shuffle: false };
    const { batches, bad } = await epochOf({ ...options, maxBad: 2 });
    expect(batches.map(({ indices }) => indices)).toEqual([
      [0, 1, 2],
      [4, 5, 6],
      [8, 9, 10, 11],
    ]);
    expect(bad.map(({ name }) => name).toSorted((one, other) => (one < other ? -1 : 1))).toEqual([
      'a/003.jpg',
      'b/001.jpg',
    ]);
    expect(bad.find(({ name }) => name === 'b/001.jpg')!.reason).toBe('the file is empty');
    const failure = await failureOf('INPUT', () => epochOf({ ...options, maxBad: 1 }));
    expect(failure.fact).toContain('2 of 12 images cannot be used, more than the 1 that may be');
    expect(failure.remedy).toContain('lowrank-data check');
  });

  it('are replaced in training by others that the seed decides', async () => {
    const spoilt = await spoil('substitute');
    const options = { ...training, source: spoilt, maxBad: 2 };
    const one = await epochOf({ ...options, workers: 2 });
    expect(one.batches.map(({ size }) => size)).toEqual([4, 4, 4]);
    expect(one.batches.flatMap(({ indices }) => [...indices])).not.toContain(3);
    expect((await epochOf({ ...options, workers: 0 })).batches).toEqual(one.batches);
    expect((await epochOf(options, { start: 2 })).batches).toEqual(one.batches.slice(2));
  });

  it('end an epoch in which none is good', async () => {
    const none = await openSource(writeTree(join(folder, 'none'), { 'a/1.jpg': 'x', 'a/2.jpg': 'y' }));
    await failureOf('INPUT', () => epochOf({ ...training, source: none, batchSize: 2, maxBad: 2 }));
  });

  it('are those of more pixels than the limit', async () => {
    const large = await openSource(
      writeTree(join(folder, 'large'), {
        'a/1.jpg': await jpeg(shade(100, 100, 1, 2, 3)),
        'a/2.jpg': await jpeg(shade(10, 10, 1, 2, 3)),
      }),
    );
    const { bad } = await epochOf({ ...training, source: large, shuffle: false, maxBad: 1, pixelLimit: 9999 });
    expect(bad).toEqual([{ name: 'a/1.jpg', reason: '100x100 are 0.0 megapixels, the limit is 0.0' }]);
  });
});

describe('a loader', () => {
  it('holds no more memory than it may, however slow the reader', async () => {
    const big = { ...training, transform: { ...crop, width: 512, height: 512 }, batchSize: 2 };
    let asked = 0;
    const counting: ImageSource = {
      ...source,
      // Images are asked for when a batch is begun: those of the batch in use, of the ones ahead, and no others.
      locate: (index) => {
        asked += 1;
        return source.locate(index);
      },
    };
    const batchBytes = 2 * 512 * 512 * 3;
    const loader = createLoader({ ...big, source: counting, workers: 1, prefetchBytes: 3 * batchBytes });
    for await (const { index } of loader.batches(0)) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(asked).toBeLessThanOrEqual(2 * (index + 1 + 3));
    }
    expect(asked).toBe(20);
    await loader.close();
  });

  it('can be left, stopped and closed at any time', async () => {
    const controller = new AbortController();
    const loader = createLoader({ ...training, signal: controller.signal });
    for await (const _ of loader.batches(0)) break;
    for await (const { index } of loader.batches(1)) if (index === 2) break;
    const read = async (): Promise<void> => {
      for await (const { index } of loader.batches(2)) if (index === 1) controller.abort();
    };
    await failureOf('ABORTED', read);
    await loader.close();
    await loader.close();
    const closed = createLoader(training);
    await closed.close();
    await failureOf('INTERNAL', () => closed.batches(0).next());
  });

  it('refuses impossible options', async () => {
    for (const options of [
      { batchSize: 0 },
      { batchSize: 1.5 },
      { seed: -1 },
      { maxBad: -1 },
      { workers: -1 },
      { workers: 2000 },
      { pixelLimit: 0 },
      { transform: { ...crop, width: 0 } },
    ]) {
      await failureOf('USAGE', () => createLoader({ ...training, ...options }));
    }
    const float: OutputFormat = { type: 'float32', layout: 'nchw' };
    const bare = await failureOf('USAGE', () => createLoader({ ...training, format: float }));
    expect(bare.message).toContain('images of type float32 have no normalization; format.normalization; give one of');
    const broken: readonly unknown[] = [
      { ...training, format: { ...float, normalization: 'imagenet' } },
      { ...training, format: { ...float, normalization: { mean: [0, 0, 0], deviation: [1, 0, 1] } } },
      { ...training, format: { ...float, normalization: { mean: [0, 0], deviation: [1, 1] } } },
      { ...training, format: { ...float, type: 'float16' } },
      { ...training, format: { type: 'uint8' } },
      { ...training, format: undefined },
      { ...training, transform: undefined },
      { ...training, transform: { kind: 'zoom', width: 8, height: 8 } },
    ];
    for (const options of broken) await failureOf('USAGE', () => createLoader(options as LoaderOptions));
    const few = await failureOf('INPUT', () => createLoader({ ...training, batchSize: 22 }));
    expect(few.fact).toBe('the data set has 21 images, fewer than a batch of 22');
  });
});

describe('bytes', () => {
  it('need no normalization', async () => {
    const bare: OutputFormat = { type: 'uint8', layout: 'nhwc' };
    for (const workers of [0, 2]) {
      const bytes = await epochOf({ ...training, format: bare, workers });
      expect(bytes).toEqual(await epochOf({ ...training, format: bytesFormat, workers }));
    }
  });
});

describe.skipIf(!hasShared)('real pictures', () => {
  // torchvision 0.29: CenterCrop(224)(Resize(256)) of the PIL images, sorted by path, as bytes; sha256 over the first 32.
  it('are evaluated on the very pixels of torchvision', async () => {
    const images = await openSource(join(sharedFolder, 'data/images/flowers/test'));

    const hash = createHash('sha256');
    const transform = { kind: 'center-crop', resize: 256, width: 224, height: 224 } as const;
    const loader = createLoader({ source: images, transform, format: bytesFormat, batchSize: 32 });
    for await (const batch of loader.batches(0)) {
      hash.update(batch.images);
      break;
    }
    await loader.close();
    expect(hash.digest('hex').slice(0, 16)).toBe('a872b25b4538fc37');
  });
});
