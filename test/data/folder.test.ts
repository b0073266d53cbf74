import { chmodSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkTrainable, classCounts } from '../../src/data/balance.js';
import { plainClasses, readClassList } from '../../src/data/class-list.js';
import { openSource, partsIn } from '../../src/data/open.js';
import type { ImageSource } from '../../src/data/types.js';
import { openUnlabelled } from '../../src/data/unlabelled.js';
import { failureOf } from '../support/errors.js';
import { hasCases, hasShared, sharedFolder } from '../support/shared.js';
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

  it('has classes that are called as parts are, beside others', async () => {
    const flat = writeTree(join(folder, 'vehicles'), {
      'bus/1.jpg': 'x',
      'car/1.jpg': 'x',
      'test/1.jpg': 'x',
      'train/1.jpg': 'x',
    });
    for (const split of [undefined, 'train', 'val']) {
      const source = await openSource(flat, { split });
      expect([source.classes, source.length]).toEqual([['bus', 'car', 'test', 'train'], 4]);
      expect(source.warnings).toEqual(["'test', 'train' are taken for classes, like the folders beside"]);
    }
    expect(partsIn(flat)).toEqual([]);
    expect((await openUnlabelled(flat)).length).toBe(4);
    const nested = writeTree(join(folder, 'nested'), {
      'bus/s0/1.jpg': 'x',
      'car/1.jpg': 'x',
      'train/s0/1.jpg': 'x',
      'train/s1/1.jpg': 'x',
      'train/s1/2.jpg': 'x',
    });
    expect((await openSource(nested, { split: 'train' })).length).toBe(5);
    expect(partsIn(nested)).toEqual([]);
  });

  it('opens the part that is asked for without labels, and that for training else', async () => {
    const parts = writeTree(join(folder, 'unlabelled-parts'), {
      'train/a/1.jpg': 'x',
      'train/a/2.jpg': 'x',
      'val/a/1.jpg': 'x',
    });
    expect((await openUnlabelled(parts)).length).toBe(2);
    expect((await openUnlabelled(parts, { parts: ['val', 'train'] })).length).toBe(1);
    await expect(openUnlabelled(parts, { parts: ['extra'] })).rejects.toThrow(/no part 'extra'/);
  });

  it('has parts where no other folder holds images, or where they have the same class folders', async () => {
    const one = writeTree(join(folder, 'one-part'), {
      'train/a/1.jpg': 'x',
      'annotations/a/1.xml': 'x',
      '.cache/1.jpg': 'x',
      'unlabeled/1.jpg': 'x',
    });
    const two = writeTree(join(folder, 'two-parts'), {
      'train/a/1.jpg': 'x',
      'dev/a/1.jpg': 'x',
      'docs/figures/1.png': 'x',
    });
    expect([partsIn(one), partsIn(two)]).toEqual([['train'], ['dev', 'train']]);
    expect((await openSource(one, { split: 'train' })).classes).toEqual(['a']);
    expect((await openSource(two, { split: 'val' })).path).toBe(join(two, 'dev'));
    const missing = await failureOf('INPUT', () => openSource(one, { split: 'val' }));
    expect(missing.fact).toBe("there is no part 'val': there are train");
  });

  it('leaves out hidden folders and those of tools at any depth, in one note', async () => {
    const path = writeTree(join(folder, 'tools'), {
      'a/1.jpg': 'x',
      'a/.ipynb_checkpoints/1.jpg': 'x',
      'a/deep/.thumbnails/1.jpg': 'x',
      'a/deep/2.jpg': 'x',
      'b/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg': 'x',
      'b/3.jpg': 'x',
      '__MACOSX/a/1.jpg': 'x',
      '.git/1.jpg': 'x',
    });
    const source = await openSource(path);
    expect([source.classes, namesOf(source)]).toEqual([
      ['a', 'b'],
      ['a/1.jpg', 'a/deep/2.jpg', 'b/3.jpg'],
    ]);
    expect(source.warnings).toHaveLength(1);
    expect(source.warnings[0]).toMatch(/^5 hidden or tool folders are left out: /);
    const flat = writeTree(join(folder, 'flat-tools'), { '1.jpg': 'x', '@eaDir/1.jpg/t.jpg': 'x', '.t/2.jpg': 'x' });
    expect((await openUnlabelled(flat)).length).toBe(1);
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

  it.skipIf(!hasCases)('reads the reported folders with a class called train', async () => {
    for (const [name, images] of [
      ['class-named-train-flat', 24],
      ['class-named-train-nested', 32],
    ] as const) {
      const source = await openSource(join(sharedFolder, 'cases/folders', name), { split: 'train' });
      expect([source.length, source.classes]).toEqual([images, ['bus', 'car', 'plane', 'train']]);
    }
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
