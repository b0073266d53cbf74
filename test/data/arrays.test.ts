import { describe, expect, it } from 'vitest';
import { createLoader, type LoaderOptions } from '../../src/data/loader.js';
import { NORMALIZATIONS, type Normalization } from '../../src/data/normalize.js';
import { arraysIn, openSource, partsIn } from '../../src/data/open.js';
import { openUnlabelled } from '../../src/data/unlabelled.js';
import type { ImageSource } from '../../src/data/types.js';
import { asStored } from '../../src/images/prepare-arrays.js';
import { failureOf } from '../support/errors.js';
import { freshFolderForEach } from '../support/fresh-folder.js';
import { encoder, pattern, writeTree } from './support/images.js';
import { bytes, floats, labels, npy } from './support/npy.js';

let folder: string;
freshFolderForEach((fresh) => (folder = fresh));

/** All numbers of an epoch, with its labels and bad samples. */
async function read(
  source: ImageSource,
  normalization: Normalization = NORMALIZATIONS.unit,
  more: Partial<LoaderOptions> = {},
): Promise<{ readonly data: number[]; readonly dims: readonly number[]; labels: number[]; readonly bad: string[] }> {
  const loader = createLoader({
    ...{ source, batchSize: 16, workers: 0, maxBad: 5 },
    format: { type: 'float32', layout: 'nchw', normalization },
    ...more,
    transform: more.transform ?? asStored(source.arrays!),
  });
  for await (const batch of loader.batches(0)) {
    const { images, dims, size } = batch;
    const found = Array.from(batch.labels, Number).slice(0, size);
    await loader.close();
    const data = Array.from(images).slice(0, (images.length / dims[0]!) * size);
    return { data, dims, labels: found, bad: loader.bad.map(({ reason }) => reason) };
  }
  throw new Error('no batch');
}

const one = { mean: [0], deviation: [1] };

describe('arrays in class folders', () => {
  it('are one sample each, their classes the folders', async () => {
    writeTree(folder, {
      'train/cat/a.npy': floats([2, 2], [1, 2, 3, 4]),
      'train/dog/b.npy': floats([2, 2], [5, 6, 7, 8]),
      'train/dog/notes.txt': '',
      'val/cat/c.npy': floats([2, 2], [9, 9, 9, 9]),
    });
    expect(partsIn(folder)).toEqual(['train', 'val']);
    const source = await openSource(folder, { split: 'train' });
    expect(source).toMatchObject({ format: 'arrays', length: 2, classes: ['cat', 'dog'] });
    expect(source.arrays).toEqual({ type: 'float32', dims: [2, 2] });
    expect(source.warnings).toEqual(['1 files are no arrays by their names: they are left out']);
    const { data, dims, labels: found } = await read(source, one);
    expect([data, dims, found]).toEqual([
      [1, 2, 3, 4, 5, 6, 7, 8],
      [2, 2, 2],
      [0, 1],
    ]);
    await source.close();
  });

  it('are left out where there are images', async () => {
    const png = await encoder(pattern(4, 4)).png().toBuffer();
    writeTree(folder, { 'a/1.png': png, 'a/2.npy': floats([1], [1]), 'b/3.png': png });
    const source = await openSource(folder);
    expect([source.format, source.length, source.arrays, arraysIn(folder)]).toEqual([
      'folder',
      2,
      undefined,
      undefined,
    ]);
  });

  it('of another shape or type than the first, or with numbers that are none, are bad', async () => {
    writeTree(folder, {
      'a/1.npy': floats([2], [1, 2]),
      'a/2.npy': floats([1, 2], [1, 2]),
      'a/3.npy': bytes([2], [1, 2]),
      'a/4.npy': floats([2], [1, Number.NaN]),
      'a/5.npy': floats([2], [1, 2]).subarray(0, 130),
      'a/6.npy': npy(`'|O'`, [2], Buffer.alloc(8)),
    });
    const { data, bad } = await read(await openSource(folder), one);
    expect(data).toEqual([1, 2]);
    expect(bad).toEqual([
      'the array is float32 [1, 2] where the others are float32 [2]',
      'the array is uint8 [2] where the others are float32 [2]',
      'number 1 of the array is NaN, which is NaN to the model',
      expect.stringContaining('the file is cut'),
      expect.stringContaining('pickled Python objects'),
    ]);
  });

  it('are refused whole where the first cannot be read', async () => {
    writeTree(folder, { 'a/1.npy': npy(`'<f4'`, [2, 2], Buffer.alloc(16), { isFortran: true }) });
    expect((await failureOf('UNSUPPORTED', () => openSource(folder))).place).toMatch(/1\.npy$/);
    writeTree(folder, { 'a/1.npy': floats([0, 2], []) });
    await failureOf('FORMAT', () => openSource(folder));
  });

  it('are read without classes from a flat folder', async () => {
    writeTree(folder, { '1.npy': floats([2], [1, 2]), '2.npy': floats([2], [3, 4]) });
    expect((await read(await openUnlabelled(folder), one)).data).toEqual([1, 2, 3, 4]);
    await failureOf('INPUT', () => openSource(folder));
  });
});

describe('arrays in x.npy', () => {
  const pair = { 'x.npy': floats([3, 1, 2], [1, 2, 3, 4, 5, 6]), 'y.npy': labels([2, 0, 1]) };

  it('have their labels in y.npy', async () => {
    writeTree(folder, pair);
    const source = await openSource(folder);
    expect([source.length, source.classes, source.arrays]).toEqual([
      3,
      ['0', '1', '2'],
      { type: 'float32', dims: [1, 2] },
    ]);
    expect(arraysIn(folder)).toEqual(source.arrays);
    expect(await read(source, one)).toEqual({ data: [1, 2, 3, 4, 5, 6], dims: [3, 1, 2], labels: [2, 0, 1], bad: [] });
    await source.close();
  });

  it('may do without labels where these are not needed, also in parts', async () => {
    writeTree(folder, { 'train/x.npy': pair['x.npy'], 'val/x.npy': floats([1, 1, 2], [7, 8]) });
    expect((await read(await openUnlabelled(folder), one)).data).toEqual([1, 2, 3, 4, 5, 6]);
    const error = await failureOf('INPUT', () => openSource(folder, { split: 'train' }));
    expect(error.message).toContain('no y.npy');
  });

  it('may have several classes each', async () => {
    const several = npy(`'|u1'`, [3, 2], Uint8Array.of(1, 0, 1, 1, 0, 0));
    const source = await openSource(writeTree(folder, { ...pair, 'y.npy': several }));
    expect([0, 1, 2].map((index) => Array.from(source.targets!(index)))).toEqual([
      [1, 0],
      [1, 1],
      [0, 0],
    ]);
  });

  it.each([
    ['fewer labels', labels([0, 1]), 'the labels are [2] for 3 samples'],
    ['labels that are no whole numbers', floats([3], [0, 0.5, 1]), 'whole numbers'],
    ['labels below 0', labels([0, -1, 1]), 'whole numbers'],
  ])('are refused with %s', async (_, y, fact) => {
    writeTree(folder, { ...pair, 'y.npy': y });
    expect((await failureOf('FORMAT', () => openSource(folder))).fact).toContain(fact);
  });
});

describe('numbers of arrays', () => {
  it('are those of a picture where they are bytes', async () => {
    const picture = pattern(8, 6);
    const planes = Array.from({ length: 3 }, (_, c) => [...picture.data].filter((_, at) => at % 3 === c)).flat();
    writeTree(folder, {
      'png/a/1.png': await encoder(picture).png().toBuffer(),
      'npy/a/1.npy': bytes([3, 6, 8], planes),
      'last/a/1.npy': bytes([6, 8, 3], picture.data),
    });
    const whole = { kind: 'stretch', width: 8, height: 6 } as const;
    const png = await read(await openSource(`${folder}/png`), NORMALIZATIONS.imagenet, { transform: whole });
    const array = await read(await openSource(`${folder}/npy`), NORMALIZATIONS.imagenet);
    expect(array).toEqual(png);
    const format = { type: 'float32', layout: 'nhwc', normalization: NORMALIZATIONS.imagenet } as const;
    const other = await read(await openSource(`${folder}/png`), undefined, { transform: whole, format });
    expect(await read(await openSource(`${folder}/last`), NORMALIZATIONS.imagenet)).toEqual(other);
  });

  it('are normalized by channel, or all alike, and are not scaled unless they are bytes', async () => {
    writeTree(folder, { 'a/1.npy': npy(`'>i2'`, [2, 2], Buffer.from('0001fffe7fff0000', 'hex')) });
    const source = await openSource(folder);
    expect((await read(source, one)).data).toEqual([1, -2, 32767, 0]);
    expect((await read(source, { mean: [1, 0], deviation: [2, 4] })).data).toEqual([0, -1.5, 8191.75, 0]);
    expect((await read(source, { mean: [1], deviation: [2] })).data).toEqual([0, -1.5, 16383, -0.5]);
    const three = { mean: [0, 0, 0], deviation: [1, 1, 2] };
    await failureOf('USAGE', () => read(source, three));
    await failureOf('INPUT', () => read(source, one, { format: { type: 'uint8', layout: 'nchw' } }));
  });

  it('of a batch do not depend on the threads that read them', async () => {
    const files = Array.from({ length: 20 }, (_, index) => [
      `a/${index}.npy`,
      floats([3], [index, index + 0.5, -index]),
    ]);
    const source = await openSource(writeTree(folder, Object.fromEntries(files)));
    const alone = await read(source, one, { shuffle: true, seed: 3 });
    expect(await read(source, one, { shuffle: true, seed: 3, workers: 2 })).toEqual(alone);
    expect(alone.data.slice(0, 9)).not.toEqual([0, 0.5, -0, 1, 1.5, -1, 2, 2.5, -2]);
  });
});
