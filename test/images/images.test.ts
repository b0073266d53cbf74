import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ImageSource } from '../../src/data/types.js';
import { openEvaluation, openTraining, openValidation } from '../../src/images/images.js';
import { tarOf, temporaryFolder, writeTree } from '../data/support/images.js';
import { failureOf } from '../support/errors.js';

const folder = temporaryFolder();
const own = { path: undefined, model: undefined };

/** "name class" of every image. */
async function labelled(source: ImageSource): Promise<readonly string[]> {
  await source.close();
  return Array.from(
    { length: source.length },
    (_, index) => `${source.name(index)} ${source.classes[source.label(index)]!}`,
  );
}

describe('training, validation and evaluation', () => {
  it('take a folder called as a part for the class that it is', async () => {
    const path = writeTree(join(folder, 'vehicles'), { 'bus/1.jpg': 'x', 'test/1.jpg': 'x', 'train/s/1.jpg': 'x' });
    const { source: training } = await openTraining(path, own);
    expect(await openValidation(undefined, path, training)).toBeUndefined();
    const expected = ['bus/1.jpg bus', 'test/1.jpg test', 'train/s/1.jpg train'];
    expect(await labelled(training)).toEqual(expected);
    expect(await labelled((await openEvaluation(path, null, own)).source)).toEqual(expected);
  });

  it('take the parts of shards, by name or folder', async () => {
    const shard = (label: string): Buffer =>
      tarOf([
        { name: '1.jpg', data: 'x' },
        { name: '1.cls', data: label },
        { name: '2.jpg', data: 'x' },
        { name: '2.cls', data: '0' },
      ]);
    const path = writeTree(join(folder, 'shards'), { 'train-0.tar': shard('+1'), 'val-0.tar': shard('1.0') });
    const { source: training } = await openTraining(path, own);
    const validation = await openValidation(undefined, path, training);
    expect(await labelled(validation!)).toEqual(['1.jpg 1', '2.jpg 0']);
    expect(await labelled(training)).toEqual(['1.jpg 1', '2.jpg 0']);
  });

  it('find the classes of packed validation images by their names', async () => {
    const named = writeTree(join(folder, 'named'), { 'ant/1.jpg': 'x', 'bee/1.jpg': 'x', 'cat/1.jpg': 'x' });
    const { source: training } = await openTraining(named, own);
    const packed = writeTree(join(folder, 'packed'), { 'classes.txt': 'ant\tant\ncat\tcat\n' });
    const write = (label: number): void => {
      const members = [
        { name: '0.jpg', data: 'x' },
        { name: '0.cls', data: String(label) },
      ];
      writeFileSync(join(packed, 'shard-000000.tar'), tarOf(members));
    };
    write(1);
    expect(await labelled((await openValidation(packed, '', training))!)).toEqual(['0.jpg cat']);
    write(2);
    const failure = await failureOf('INPUT', () => openValidation(packed, '', training));
    expect(failure.fact).toBe("image '0.jpg' has label 2, and the class list has 2 classes");
    await training.close();
  });
});
