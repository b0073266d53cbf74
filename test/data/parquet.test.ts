import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { plainClasses } from '../../src/data/class-list.js';
import { openSource, partsIn } from '../../src/data/open.js';
import { failureOf } from '../support/errors.js';
import { bytesFormat, epochOf } from './support/batches.js';
import { jpeg, shade, temporaryFolder, writeTree } from './support/images.js';

const folder = temporaryFolder();

interface Shard {
  readonly images: readonly Uint8Array[];
  readonly labels: readonly (number | string | null)[];
  readonly names?: readonly string[];
  readonly rowGroupSize?: number;
  readonly imageColumn?: string;
}

/** As `datasets` of Hugging Face writes it: an image is a group of its bytes and its path. */
function shardOf({ images, labels, names, rowGroupSize = 3, imageColumn = 'image' }: Shard): Uint8Array {
  const isText = labels.some((label) => typeof label === 'string');
  const features = { [imageColumn]: { _type: 'Image' }, label: { _type: 'ClassLabel', names } };
  const optional = { repetition_type: 'OPTIONAL' } as const;
  const text = { type: 'BYTE_ARRAY', converted_type: 'UTF8', ...optional } as const;
  return new Uint8Array(
    parquetWriteBuffer({
      schema: [
        { name: 'schema', num_children: 2 },
        { name: imageColumn, num_children: 2, ...optional },
        { name: 'bytes', type: 'BYTE_ARRAY', ...optional },
        { name: 'path', ...text },
        isText ? { name: 'label', ...text } : { name: 'label', type: 'INT64', ...optional },
      ],
      columnData: [
        { name: imageColumn, data: images.map((bytes, index) => ({ bytes, path: `${index}.jpg` })) },
        { name: 'label', data: isText ? [...labels] : labels.map((label) => (label === null ? null : BigInt(label))) },
      ],
      rowGroupSize,
      ...(names === undefined
        ? {}
        : { kvMetadata: [{ key: 'huggingface', value: JSON.stringify({ info: { features } }) }] }),
    }),
  );
}

const picture = async (index: number): Promise<Uint8Array> =>
  new Uint8Array(await jpeg(shade(30 + index, 20, 10 * index, 100, 200)));

describe('parquet shards', () => {
  it('are read in order, with labels above 255 and the class names of the metadata', async () => {
    const images = await Promise.all([0, 1, 2, 3, 4, 5, 6].map(picture));
    const names = Array.from({ length: 300 }, (_, index) => `class ${index}`);
    writeTree(join(folder, 'hub/data'), {
      'train-00000-of-00002.parquet': shardOf({ images: images.slice(0, 4), labels: [299, 0, 256, 1], names }),
      'train-00001-of-00002.parquet': shardOf({ images: images.slice(4), labels: [2, 3, 4], names }),
      'validation-00000-of-00001.parquet': shardOf({ images: images.slice(0, 1), labels: [7], names }),
    });
    const source = await openSource(join(folder, 'hub'), { split: 'train' });
    expect([source.format, source.length, source.classes[299]]).toEqual(['parquet', 7, 'class 299']);
    expect(source.blocks?.lengths).toEqual([3, 1, 3]);
    for (const [index, image] of images.entries()) {
      const sample = await source.read(index);
      expect('bytes' in sample && Buffer.from(sample.bytes).equals(image)).toBe(true);
    }
    const transform = { kind: 'stretch', width: 8, height: 8 } as const;
    const options = { source, transform, format: bytesFormat, batchSize: 7, shuffle: true, seed: 5 };
    const one = await epochOf({ ...options, workers: 2 });
    expect(one.batches[0]!.labels.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 256, 299]);
    expect(await epochOf({ ...options, workers: 0 })).toEqual(one);
    await source.close();
    const validation = await openSource(join(folder, 'hub'), { split: 'val' });
    expect([validation.length, validation.label(0)]).toEqual([1, 7]);
    await validation.close();
    expect((await failureOf('INPUT', () => openSource(join(folder, 'hub')))).remedy).toContain('--split train');
  });

  it('have labels that are names', async () => {
    const images = await Promise.all([0, 1, 2].map(picture));
    const path = join(folder, 'names.parquet');
    writeFileSync(path, shardOf({ images, labels: ['dog', 'cat', 'dog'], imageColumn: 'jpg' }));
    const source = await openSource(path);
    expect(source.classes).toEqual(['cat', 'dog']);
    expect([0, 1, 2].map((index) => source.label(index))).toEqual([1, 0, 1]);
    await source.close();
  });

  it('have labels that are numbers as texts', async () => {
    const images = await Promise.all([0, 1, 2].map(picture));
    const path = join(folder, 'digits.parquet');
    writeFileSync(path, shardOf({ images, labels: ['10', '2', '1.0'] }));
    const source = await openSource(path);
    expect([source.label(0), source.label(1), source.label(2), source.classes.length]).toEqual([10, 2, 1, 11]);
    await source.close();
    writeFileSync(path, shardOf({ images, labels: ['10', '-1', '1'] }));
    expect((await failureOf('FORMAT', () => openSource(path))).fact).toContain('row digits.parquet#1 has label -1');
    writeFileSync(path, shardOf({ images, labels: ['10', 'cat', '1'] }));
    expect((await failureOf('FORMAT', () => openSource(path))).fact).toContain('labels are numbers and names');
    writeFileSync(path, shardOf({ images, labels: [0, 1, 100_000_000] }));
    expect((await failureOf('INPUT', () => openSource(path))).fact).toBe('class 100000000 of 3 found: 0, 1, 100000000');
  });

  it('have the class names of any shard, which agree, and are found in a given list', async () => {
    const images = await Promise.all([0, 1].map(picture));
    const tree = (second: readonly string[]): string =>
      writeTree(join(folder, 'later'), {
        '0.parquet': shardOf({ images, labels: [1, 0] }),
        '1.parquet': shardOf({ images, labels: [0, 1], names: ['cat', 'dog'] }),
        '2.parquet': shardOf({ images, labels: [1, 1], names: second }),
      });
    const source = await openSource(tree(['cat', 'dog']));
    expect([source.classes, source.length]).toEqual([['cat', 'dog'], 6]);
    await source.close();
    const given = await openSource(join(folder, 'later'), { classes: plainClasses(['ant', 'dog', 'cat']) });
    expect([0, 1, 2, 3].map((index) => given.label(index))).toEqual([1, 2, 2, 1]);
    await given.close();
    const failure = await failureOf('INPUT', () => openSource(tree(['cat', 'ant'])));
    expect(failure.fact).toBe(`class 1 is 'ant', and in ${join(folder, 'later/1.parquet')} 'dog'`);
    expect(failure.place).toBe(join(folder, 'later/2.parquet'));
  });

  it('are found in folders at any depth', async () => {
    const images = await Promise.all([0, 1].map(picture));
    const one = shardOf({ images, labels: [1, 0] });
    const nested = writeTree(join(folder, 'nested'), { 'plain_text/v1/0000.parquet': one, 'readme/a.txt': 'x' });
    const source = await openSource(nested);
    expect([source.format, source.length, source.warnings]).toEqual(['parquet', 2, []]);
    await source.close();
    writeTree(nested, { 'plain_text/v2/0000.parquet': one, '.cache/x.parquet': one });
    const both = await openSource(nested);
    expect([both.length, both.warnings]).toEqual([
      4,
      ["the parquet files of 2 folders are read as one data set: 'plain_text/v1', 'plain_text/v2'"],
    ]);
    expect([both.name(0), both.name(2)]).toEqual(['v1/0000.parquet#0', 'v2/0000.parquet#0']);
    await both.close();
    const parts = writeTree(join(folder, 'parts'), { 'x/train/0.parquet': one, 'x/test/0.parquet': one });
    expect(partsIn(parts)).toEqual(['test', 'train']);
    const part = await openSource(parts, { split: 'val' });
    expect([part.length, part.warnings]).toEqual([2, []]);
    await part.close();
    const classes = writeTree(join(folder, 'classes'), { 'a/1.jpg': images[0]!, 'b/info.parquet': one });
    expect((await openSource(classes)).format).toBe('folder');
  });

  it('are refused where they are damaged, without labels, or labelled beyond the class list', async () => {
    const images = [await picture(0), await picture(1)];
    const whole = shardOf({ images, labels: [0, 5] });
    const write = (bytes: Uint8Array): string => {
      const path = join(folder, 'bad.parquet');
      writeFileSync(path, bytes);
      return path;
    };
    for (const bytes of [
      whole.subarray(0, 100),
      whole.subarray(50),
      Buffer.from('no parquet at all'),
      Buffer.alloc(0),
    ]) {
      await failureOf('FORMAT', () => openSource(write(bytes)));
    }
    const beyond = await failureOf('INPUT', () => openSource(write(whole), { classes: plainClasses(['a', 'b']) }));
    expect(beyond.fact).toBe('row bad.parquet#1 has label 5, and the class list has 2 classes');
    await failureOf('FORMAT', () => openSource(write(shardOf({ images, labels: [0, -1] }))));
    const unknown = await failureOf('FORMAT', () =>
      openSource(write(shardOf({ images, labels: [0, 1], imageColumn: 'x' }))),
    );
    expect(unknown.fact).toBe('no column holds the images: there are x, label');
  });
});
