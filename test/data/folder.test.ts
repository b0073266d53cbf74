import { chmodSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkTrainable, classCounts } from '../../src/data/balance.js';
import { plainClasses, readClassList } from '../../src/data/class-list.js';
import { openSource } from '../../src/data/open.js';
import type { ImageSource } from '../../src/data/types.js';
import { failureOf } from '../support/errors.js';
import { hasShared, sharedFolder } from '../support/shared.js';
import { temporaryFolder, writeTree } from './support/images.js';

const folder = temporaryFolder();

function namesOf(source: ImageSource): string[] {
  return Array.from({ length: source.length }, (_, index) => source.name(index));
}

function labelsOf(source: ImageSource): number[] {
  return Array.from({ length: source.length }, (_, index) => source.label(index));
}

describe('a folder of class folders', () => {
  it('has the order of Python: classes and paths by code points, at any depth', async () => {
    const path = writeTree(join(folder, 'order'), {
      'b/2.jpg': 'x',
      'b/10.JPEG': 'x',
      'b/deep/er/1.png': 'x',
      'Z/a.webp': 'x',
      '\u{1F600}/a.jpg': 'x',
      '\uFFFD/a.jpg': 'x',
      'b/notes.txt': 'x',
      'b/.hidden.jpg': 'x',
      'readme.md': 'x',
    });
    const source = await openSource(path);
    // sorted() of Python: U+FFFD comes before U+1F600, whose UTF-16 unit is smaller.
    expect(source.classes).toEqual(['Z', 'b', '\uFFFD', '\u{1F600}']);
    expect(namesOf(source)).toEqual([
      'Z/a.webp',
      'b/10.JPEG',
      'b/2.jpg',
      'b/deep/er/1.png',
      '\uFFFD/a.jpg',
      '\u{1F600}/a.jpg',
    ]);
    expect(labelsOf(source)).toEqual([0, 1, 1, 1, 2, 3]);
    expect(source.warnings).toEqual(['2 files are no images by their names: they are left out']);
    expect((await source.read(1)).label).toBe(1);
  });

  it('takes labels from a class list, by identifier or title', async () => {
    const path = writeTree(join(folder, 'listed'), { 'n2/a.jpg': 'x', 'tench/a.jpg': 'x' });
    const list = join(folder, 'list.txt');
    writeTree(folder, { 'list.txt': 'n1\ttench\nn2\tgoldfish\nn3\tshark\n' });
    const source = await openSource(path, { classes: readClassList(list) });
    expect(labelsOf(source)).toEqual([1, 0]);
    expect(source.titles).toEqual(['tench', 'goldfish', 'shark']);
    const missing = await failureOf('INPUT', () => openSource(path, { classes: plainClasses(['n2', 'n3']) }));
    expect(missing.fact).toContain("'tench' is not in the class list of 2");
  });

  it('chooses the part that is asked for, by any word for it', async () => {
    const path = writeTree(join(folder, 'parts'), { 'train/a/1.jpg': 'x', 'Validation/a/1.jpg': 'x' });
    expect((await openSource(path, { split: 'val' })).path).toBe(join(path, 'Validation'));
    expect((await openSource(path, { split: 'train' })).length).toBe(1);
    expect((await failureOf('INPUT', () => openSource(path))).remedy).toContain('--split Validation');
    expect((await failureOf('INPUT', () => openSource(path, { split: 'test' }))).fact).toContain(
      'there are Validation, train',
    );
  });

  it('warns of an empty class folder, and refuses to train with it', async () => {
    const path = writeTree(join(folder, 'empty'), { 'a/1.jpg': 'x', 'c/1.jpg': 'x' });
    mkdirSync(join(path, 'b'));
    const source = await openSource(path);
    expect(source.classes).toEqual(['a', 'b', 'c']);
    expect(labelsOf(source)).toEqual([0, 2]);
    expect(source.warnings).toEqual(["class folder 'b' holds no images"]);
    expect(classCounts(source)).toEqual([1, 0, 1]);
    const failure = await failureOf('INPUT', () => {
      checkTrainable(source);
    });
    expect(failure.fact).toContain("1 of 3 classes have no images: 'b'");
    checkTrainable(await openSource(path, { classes: plainClasses(['a', 'b', 'c', 'd']) }));
  });

  it('follows symbolic links, but not in circles', async () => {
    const path = writeTree(join(folder, 'links'), { 'a/1.jpg': 'x', 'b/2.jpg': 'x' });
    symlinkSync('..', join(path, 'a', 'up'));
    symlinkSync('.', join(path, 'b', 'self'));
    symlinkSync('../a', join(path, 'b', 'other'));
    symlinkSync('nowhere', join(path, 'b', 'broken.jpg'));
    const source = await openSource(path);
    expect(namesOf(source)).toEqual(['a/1.jpg', 'b/2.jpg', 'b/broken.jpg', 'b/other/1.jpg']);
    expect(source.warnings.filter((warning) => warning.includes('is not followed'))).toHaveLength(3);
    await failureOf('INPUT', () => source.read(2));
    symlinkSync('loop', join(path, 'loop'));
    await failureOf('INPUT', () => openSource(join(path, 'loop')));
  });

  it.skipIf(process.getuid?.() === 0)('names a folder that cannot be read', async () => {
    const path = writeTree(join(folder, 'closed'), { 'a/1.jpg': 'x' });
    chmodSync(join(path, 'a'), 0);
    expect((await failureOf('INPUT', () => openSource(path))).place).toBe(join(path, 'a'));
    chmodSync(join(path, 'a'), 0o755);
  });

  it('says what is wrong with a folder that is no data set', async () => {
    const path = writeTree(join(folder, 'none'), { 'loose/notes.txt': 'x', 'flat/1.jpg': 'x', 'file.zip': 'x' });
    mkdirSync(join(path, 'bare'));
    const facts: string[] = [];
    for (const name of ['bare', 'flat', 'loose', 'file.zip', 'missing', 'loose/notes.txt/x']) {
      facts.push((await failureOf('INPUT', () => openSource(join(path, name)))).fact);
    }
    expect(facts).toEqual([
      'the folder holds no class folders',
      'the folder holds 1 images, but no class folders',
      'the folder holds no class folders',
      'the file is no data set that can be read',
      'there is no such file or folder',
      'a part of the path is no folder',
    ]);
  });

  it.skipIf(!hasShared)('reads Imagenette with the class list of ImageNet', async () => {
    const images = join(sharedFolder, 'data/images');
    const source = await openSource(join(images, 'imagenette-160'), {
      split: 'val',
      classes: readClassList(join(images, 'LOC_synset_mapping.txt')),
    });
    expect(source.length).toBe(600);
    expect([...new Set(labelsOf(source))]).toEqual([0, 217, 482, 491, 497, 566, 569, 571, 574, 701]);
    expect(source.titles[571]).toContain('gas pump');
    const same = readClassList(join(images, 'imagenet_class_index.json'));
    expect(same.ids).toEqual(source.classes);
    await source.close();
  });
});
