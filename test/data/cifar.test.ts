import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { plainClasses } from '../../src/data/class-list.js';
import { openEvaluation, openValidation } from '../../src/images/images.js';
import { openSource, partsIn } from '../../src/data/open.js';
import { failureOf } from '../support/errors.js';
import { bytesFormat, epochOf } from './support/batches.js';
import { temporaryFolder, writeTree } from './support/images.js';

const folder = temporaryFolder();

/** Records of the binary version: label bytes, then the red, green and blue planes; pixel p of image i is (i + p, p, 7). */
function records(labels: readonly (readonly number[])[]): Buffer {
  return Buffer.concat(
    labels.map((bytes, image) => {
      const planes = Buffer.alloc(3072);
      for (let pixel = 0; pixel < 1024; pixel++) {
        planes[pixel] = image + pixel;
        planes[1024 + pixel] = pixel;
        planes[2048 + pixel] = 7;
      }
      return Buffer.concat([Buffer.from(bytes), planes]);
    }),
  );
}

const train = Object.fromEntries([1, 2, 3, 4, 5].map((batch) => [`data_batch_${batch}.bin`, records([[batch], [9]])]));

describe('binary CIFAR', () => {
  it('is read by pixel, part by part, with its class names', async () => {
    const path = writeTree(join(folder, 'ten'), {
      ...Object.fromEntries(Object.entries(train).map(([name, bytes]) => [`cifar-10-batches-bin/${name}`, bytes])),
      'cifar-10-batches-bin/test_batch.bin': records([[3]]),
      'cifar-10-batches-bin/batches.meta.txt':
        'airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n',
    });
    const source = await openSource(path);
    expect([source.format, source.length, source.classes[9]]).toEqual(['cifar', 10, 'truck']);
    expect(Array.from({ length: 10 }, (_, index) => source.label(index))).toEqual([1, 9, 2, 9, 3, 9, 4, 9, 5, 9]);
    const sample = await source.read(3);
    expect(sample.name).toBe('data_batch_2.bin#1');
    if (!('pixels' in sample)) throw new Error('bytes');
    const { data } = sample.pixels;
    expect([...data.subarray(0, 6)]).toEqual([1, 0, 7, 2, 1, 7]);
    expect([...data.subarray(3 * 1000, 3 * 1000 + 3)]).toEqual([1001 % 256, 1000 % 256, 7]);
    const test = await openSource(path, { split: 'val' });
    expect([test.length, test.label(0)]).toEqual([1, 3]);
    await failureOf('USAGE', () => openSource(path, { split: 'other' }));
    expect(partsIn(path)).toEqual(['train', 'test']);
    const none = { path: undefined, model: undefined };
    expect((await openEvaluation(path, null, none)).source.length).toBe(1);
    expect((await openValidation(undefined, path, source))!.length).toBe(1);
  });

  it('has the fine labels of CIFAR-100', async () => {
    const path = writeTree(join(folder, 'hundred'), {
      'train.bin': records([[4, 99]]),
      'test.bin': records([[1, 50]]),
    });
    const source = await openSource(path);
    expect([source.classes.length, source.label(0)]).toEqual([100, 99]);
  });

  it('is augmented with a black border, the same on any thread', async () => {
    const source = await openSource(writeTree(join(folder, 'border'), train));
    const transform = { kind: 'padded-crop', width: 32, height: 32, padding: 4 } as const;
    const options = { source, transform, format: bytesFormat, batchSize: 5, shuffle: true };
    const one = await epochOf({ ...options, workers: 2 });
    expect(one.batches).toHaveLength(2);
    expect(await epochOf({ ...options, workers: 0 })).toEqual(one);
  });

  it('is refused where it is cut, mislabelled or incomplete', async () => {
    const cut = writeTree(join(folder, 'cut'), { ...train, 'data_batch_3.bin': records([[1]]).subarray(0, 3000) });
    expect((await failureOf('FORMAT', () => openSource(cut))).place).toBe(join(cut, 'data_batch_3.bin'));
    const wrong = writeTree(join(folder, 'wrong'), { ...train, 'data_batch_1.bin': records([[1], [10]]) });
    expect((await failureOf('FORMAT', () => openSource(wrong))).fact).toBe('record 1 has label 10 of 10');
    await failureOf('INPUT', () => openSource(writeTree(join(folder, 'part'), { 'data_batch_1.bin': records([[1]]) })));
    await failureOf('INPUT', () => openSource(join(folder, 'border'), { classes: plainClasses(['a']) }));
  });
});
