import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { checkSource } from '../../src/data/check.js';
import { plainClasses } from '../../src/data/class-list.js';
import { createLoader } from '../../src/data/loader.js';
import { openSource, partsIn } from '../../src/data/open.js';
import type { ImageSource } from '../../src/data/types.js';
import { openUnlabelled } from '../../src/data/unlabelled.js';
import { failureOf } from '../support/errors.js';
import { hasShared, sharedFolder } from '../support/shared.js';
import { bytesFormat, epochOf } from './support/batches.js';
import { idxFile, idxTree } from './support/idx.js';
import { temporaryFolder, writeTree } from './support/images.js';

const folder = temporaryFolder();
const mnist = join(sharedFolder, 'data', 'mnist');

/** Three pictures of 2 rows and 3 columns: 0 to 17. */
const images = idxFile(
  [3, 2, 3],
  Array.from({ length: 18 }, (_, at) => at),
);
const labels = idxFile([3], [2, 0, 1]);
const pair = { 'train-images-idx3-ubyte': images, 'train-labels-idx1-ubyte': labels };

async function pixelsOf(source: ImageSource, index: number): Promise<readonly number[]> {
  const sample = await source.read(index);
  if (!('pixels' in sample)) throw new Error('bytes');
  expect(sample.pixels).toMatchObject({ width: 3, height: 2 });
  return [...sample.pixels.data];
}

describe('idx files', () => {
  it('are read by pixel, with numbers for classes', async () => {
    const path = writeTree(join(folder, 'plain'), pair);
    const source = await openSource(path);
    expect([source.format, source.length, source.classes]).toEqual(['idx', 3, ['0', '1', '2']]);
    expect([0, 1, 2].map((index) => source.label(index))).toEqual([2, 0, 1]);
    expect(source.name(1)).toBe('train-images-idx3-ubyte#1');
    expect(source.files).toEqual(Object.keys(pair).map((name) => join(path, name)));
    expect(await pixelsOf(source, 1)).toEqual([6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 10, 10, 10, 11, 11, 11]);
    const { kinds, sizes, totalBytes, bad } = await checkSource(source, { workers: 0 });
    expect([kinds.grey, sizes!.width.median, sizes!.height.median, totalBytes, bad]).toEqual([3, 3, 2, 18, []]);
  });

  it('are found compressed or not, with a hyphen or a point, where torchvision puts them, and by name', async () => {
    const trees: readonly Readonly<Record<string, Buffer>>[] = [
      { 'train-images-idx3-ubyte.gz': gzipSync(images), 'train-labels-idx1-ubyte.gz': gzipSync(labels) },
      { 'train-images.idx3-ubyte': images, 'train-labels.idx1-ubyte': labels },
      { 'train-images-idx3-ubyte': images, 'train-labels.idx1-ubyte.gz': gzipSync(labels) },
      { 'FashionMNIST/raw/train-images-idx3-ubyte': images, 'FashionMNIST/raw/train-labels-idx1-ubyte': labels },
      { 'emnist-digits-train-images-idx3-ubyte': images, 'emnist-digits-train-labels-idx1-ubyte': labels },
      // The plain one is read where both are there.
      { ...pair, 'train-images-idx3-ubyte.gz': Buffer.from('damaged') },
    ];
    for (const [index, tree] of trees.entries()) {
      const path = writeTree(join(folder, `found-${index}`), tree);
      for (const given of [path, join(path, Object.keys(tree)[0]!)]) {
        const source = await openSource(given);
        expect([source.length, source.label(0), source.path]).toEqual([3, 2, given]);
        expect((await pixelsOf(source, 2))[17]).toBe(17);
      }
    }
  });

  it('have the parts train and test, which is that for validation too', async () => {
    const path = writeTree(join(folder, 'parts'), idxTree(20, 10, 6));
    expect(partsIn(path)).toEqual(['test', 'train']);
    const lengthOf = async (split?: string): Promise<number> => (await openSource(path, { split })).length;
    expect([await lengthOf(), await lengthOf('train')]).toEqual([20, 20]);
    for (const split of ['test', 'val', 't10k']) expect(await lengthOf(split)).toBe(10);
    const { fact, remedy } = await failureOf('USAGE', () => openSource(path, { split: 'other' }));
    expect([fact, remedy]).toEqual([
      "the idx files have no part 'other'",
      'choose test or train, or give an images file alone',
    ]);
    const only = writeTree(join(folder, 'only'), {
      't10k-images-idx3-ubyte': images,
      't10k-labels-idx1-ubyte': labels,
    });
    expect((await openSource(only)).length).toBe(3);
    expect((await openUnlabelled(path)).length).toBe(20);
    expect((await openUnlabelled(path, { parts: ['val'] })).length).toBe(10);
  });

  it('take a class list, by position or by number', async () => {
    const path = join(folder, 'plain');
    const named = await openSource(path, { classes: plainClasses(['shirt', 'bag', 'coat', 'boot']) });
    expect([named.classes[named.label(0)], named.hasGivenClasses]).toEqual(['coat', true]);
    const { fact } = await failureOf('INPUT', () => openSource(path, { classes: plainClasses(['a', 'b']) }));
    expect(fact).toBe('image 0 has label 2, and the class list has 2 classes');
  });

  it('are augmented on any thread alike, and may stand on a border of black as they are', async () => {
    const source = await openSource(join(folder, 'parts'));
    const padded = { kind: 'padded-crop', width: 10, height: 10, padding: 1, resize: 6 } as const;
    const options = { source, transform: padded, format: bytesFormat, batchSize: 5, shuffle: true };
    expect(await epochOf({ ...options, workers: 2 })).toEqual(await epochOf({ ...options, workers: 0 }));
    const loader = createLoader({
      ...{ source, batchSize: 1, workers: 0, format: { type: 'uint8', layout: 'nhwc', channels: 1 } },
      transform: { kind: 'center-crop', width: 10, height: 10, resize: 6 },
    });
    for await (const { images: batch } of loader.batches(0)) {
      const sample = await source.read(0);
      const stored = 'pixels' in sample ? sample.pixels.data.filter((_, at) => at % 3 === 0) : [];
      const inside = Array.from({ length: 36 }, (_, at) => batch[(2 + Math.floor(at / 6)) * 10 + 2 + (at % 6)]!);
      expect(inside).toEqual([...stored]);
      const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);
      expect(sum(batch)).toBe(sum(inside));
      break;
    }
    await loader.close();
  });

  const good = { images, labels };
  const cases: readonly [string, { images?: Uint8Array; labels?: Uint8Array }, 'FORMAT' | 'UNSUPPORTED', RegExp][] = [
    ['images that are cut', { images: images.subarray(0, 30) }, 'FORMAT', /cut: \[3, 2, 3\].* are 34, and it has 30/],
    ['a header that is cut', { images: images.subarray(0, 9) }, 'FORMAT', /cut in its header/],
    ['nothing', { images: Buffer.alloc(0) }, 'FORMAT', /cut in its header/],
    ['bytes behind the end', { images: Buffer.concat([images, labels]) }, 'FORMAT', /more bytes than its header says/],
    [
      'more in gzip',
      { images: gzipSync(Buffer.concat([images, labels])) },
      'FORMAT',
      /more bytes than its header says/,
    ],
    [
      'gzip that is cut',
      { images: gzipSync(images).subarray(0, 40) },
      'FORMAT',
      /gzip file is damaged: unexpected end/,
    ],
    ['gzip of something cut', { images: gzipSync(images.subarray(0, 30)) }, 'FORMAT', /the file is cut: .* it has 30/],
    ['gzip of something else', { images: gzipSync(Buffer.from('pictures')) }, 'FORMAT', /no idx file: .* 70 69 63 74/],
    ['another file', { images: Buffer.from('PK\u0003\u0004 and so on') }, 'FORMAT', /no idx file: .* 50 4b 03 04/],
    ['labels as images', { images: labels }, 'FORMAT', /has 1 dimension, and images have 3/],
    ['colors', { images: idxFile([1, 2, 2, 3], Array(12).fill(1)) }, 'FORMAT', /has 4 dimensions, and images have 3/],
    ['no image', { images: idxFile([0, 2, 3], []) }, 'FORMAT', /holds nothing: .*\[0, 2, 3\]/],
    ['no pixel', { images: idxFile([3, 0, 3], []) }, 'FORMAT', /holds nothing/],
    ['integers', { labels: idxFile([3], Array(12).fill(0), 0x0c) }, 'UNSUPPORTED', /holds 32-bit integers, and bytes/],
    ['floats', { images: idxFile([3, 2, 3], Array(72).fill(0), 0x0d) }, 'UNSUPPORTED', /holds floats, and bytes/],
    [
      'an unknown type',
      { images: idxFile([3, 2, 3], Array(18).fill(0), 0x10) },
      'FORMAT',
      /no idx file: .* 00 00 10 03/,
    ],
    ['other labels', { labels: idxFile([4], [0, 1, 2, 0]) }, 'FORMAT', /there are 4 labels for 3 images/],
    [
      'labels of two numbers',
      { labels: idxFile([3, 2], Array(6).fill(0)) },
      'FORMAT',
      /2 dimensions, and labels have 1/,
    ],
    [
      'gzip that says it is large',
      { images: gzipSync(idxFile([0xffff, 0xffff, 1], [1])) },
      'FORMAT',
      /says that it expands to 4294836241/,
    ],
    ['a large count', { images: idxFile([0xffffffff, 0xffffffff, 0xffffffff], [1]) }, 'FORMAT', /the file is cut/],
  ];
  it.each(cases)('of %s are refused', async (name, broken, code, message) => {
    const files = { ...good, ...broken };
    const path = writeTree(join(folder, name.replaceAll(' ', '-')), {
      'train-images-idx3-ubyte': files.images,
      'train-labels-idx1-ubyte': files.labels,
    });
    const failure = await failureOf(code, () => openSource(path));
    expect(failure.fact).toMatch(message);
    expect(failure.place).toContain(join(path, 'train-'));
  });

  it('are missing, or of several data sets: it is said which', async () => {
    const alone = writeTree(join(folder, 'alone'), { 'train-images-idx3-ubyte': images });
    expect((await failureOf('INPUT', () => openSource(alone))).fact).toMatch(/there is no train-labels-idx1-ubyte or/);
    const file = join(folder, 'plain', 'train-labels-idx1-ubyte');
    expect((await failureOf('INPUT', () => openSource(file))).fact).toBe(
      'the file holds labels, and its images are wanted',
    );
    const several = writeTree(join(folder, 'several'), {
      'emnist-digits-train-images-idx3-ubyte': images,
      'emnist-letters-train-images-idx3-ubyte': images,
    });
    const { fact } = await failureOf('INPUT', () => openSource(several));
    expect(fact).toBe("the folder holds the idx files of 2 data sets: 'emnist-digits-', 'emnist-letters-'");
    await failureOf('INPUT', () => openSource(join(folder, 'none-images-idx3-ubyte')));
  });
});

describe.skipIf(!hasShared)('MNIST (../shared/data)', () => {
  it('has its images and classes', async () => {
    const source = await openSource(mnist, { split: 'test' });
    const counts = source.classes.map(() => 0);
    for (let index = 0; index < source.length; index++) counts[source.label(index)]! += 1;
    expect(counts).toEqual([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
  });
});
