import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { plainClasses } from '../../src/data/class-list.js';
import { openSource } from '../../src/data/open.js';
import type { SourceOptions } from '../../src/data/source.js';
import type { ImageSource } from '../../src/data/types.js';
import { failureOf } from '../support/errors.js';
import { hasCases, sharedFolder } from '../support/shared.js';
import { tarOf, temporaryFolder } from './support/images.js';

const folder = temporaryFolder();
let written = 0;

/** Opens a tar of members, each "name" or "name=content". */
function open(members: readonly string[], options: SourceOptions = {}): Promise<ImageSource> {
  const path = join(folder, `${written++}.tar`);
  const parts = members.map((member) => {
    const [name = '', ...content] = member.split('=');
    return { name, data: content.length === 0 ? name : content.join('=') };
  });
  writeFileSync(path, tarOf(parts));
  return openSource(path, options);
}

/** "name class" of every image. */
async function labelled(members: readonly string[], options: SourceOptions = {}): Promise<readonly string[]> {
  const source = await open(members, options);
  await source.close();
  return Array.from(
    { length: source.length },
    (_, index) => `${source.name(index)} ${source.classes[source.label(index)]!}`,
  );
}

describe('a sample', () => {
  it('has a key that ends at the first point of the base name', async () => {
    expect(await labelled(['v1.2/0001.jpg', 'v1.2/0001.cls=1', './0002.png', './0002.cls=0'])).toEqual([
      'v1.2/0001.jpg 1',
      './0002.png 0',
    ]);
    // Of one key and with fields of their own: "img" with "7.png", "7.cls", "8.png", "8.cls".
    expect(await labelled(['c/img.7.png', 'c/img.7.cls=1', 'c/img.8.PNG', 'c/img.8.CLS=0'])).toEqual([
      'c/img.7.png 1',
      'c/img.8.PNG 0',
    ]);
  });

  it('may have its members in any order, and its key again later', async () => {
    expect(await labelled(['1.cls=0', '2.cls=1', '1.jpg', '2.jpg'])).toEqual(['1.jpg 0', '2.jpg 1']);
    const again = await labelled(['1.jpg', '1.cls=0', '2.jpg', '2.cls=1', '1.jpg=other', '1.cls=1']);
    expect(again).toEqual(['1.jpg 0', '2.jpg 1', expect.stringMatching(/^1\.jpg@\d+ 1$/)]);
    const twice = await failureOf('FORMAT', () => open(['1.jpg', '1.cls=0', '1.cls=1']));
    expect(twice.fact).toBe("the sample '1' has two members '1.cls'");
  });

  it('has one image: masks beside it are left out and counted', async () => {
    const members = ['1.png', '1.seg.png', '1.depth.tiff', '1.cls=0', '2.seg.png', '2.png', '2.cls=1'];
    const source = await open(members);
    expect([source.name(0), source.name(1), source.length]).toEqual(['1.png', '2.png', 2]);
    expect(source.warnings).toEqual(['3 images beside the image of their sample are left out: .seg.png, .depth.tiff']);
    expect(await labelled(['1.rgb.png', '1.cls=0', '2.rgb.png', '2.cls=1'])).toEqual(['1.rgb.png 0', '2.rgb.png 1']);
    expect(await labelled(['1.seg.png', '1.image.png', '1.cls=0'])).toEqual(['1.image.png 0']);
  });

  it('is refused where either of two images may be meant', async () => {
    for (const members of [
      ['1.jpg', '1.png', '1.cls=0'],
      ['1.left.png', '1.right.png', '1.cls=0'],
      ['1.png', '1.cls=0', '2.seg.png', '2.cls=1'],
    ]) {
      const failure = await failureOf('INPUT', () => open(members));
      expect(failure.fact).toMatch(/^either of '.*', '.*' may be the image of a label$/);
    }
  });

  it('takes its label from .cls, then from a stated key of .json', async () => {
    expect(await labelled(['1.jpg', '1.json={"label": 3}', '1.txt=a picture', '1.cls=0'])).toEqual(['1.jpg 0']);
    expect(await labelled(['1.jpg', '1.json={"id": 9, "class": "cat", "label": [1]}'])).toEqual(['1.jpg 1']);
    expect(await labelled(['1.jpg', '1.json=7', '2.jpg', '2.json=[0]'])).toEqual(['1.jpg 7', '2.jpg 0']);
    const missing = ['1.jpg', '1.json={"label": 1}', '2.jpg', '2.json={"cls": 1}'];
    const failure = await failureOf('FORMAT', () => open(missing));
    expect(failure.fact).toBe("image '2.jpg' has no label beside it (.json ('label'))");
    for (const value of ['null', '[1, 2]', '{"id": 1}', '[]']) {
      const none = await failureOf('FORMAT', () => open(['1.jpg', `1.json={"label": ${value}}`]));
      expect(none.fact).toContain("image '1.jpg' has no label that names one class, but");
    }
    await failureOf('INPUT', () => open(['1.jpg', '1.json={"caption": "a cat"}']));
    await failureOf('INPUT', () => open(['1.jpg', '1.json=no JSON']));
  });

  it('takes texts for labels only where they are', async () => {
    const texts = (values: readonly string[]): readonly string[] =>
      values.flatMap((value, index) => [`${index}.jpg`, `${index}.txt=${value}`]);
    expect(await labelled(texts(['1', '0.0']))).toEqual(['0.jpg 1', '1.jpg 0']);
    expect(await labelled(texts(['dog', 'cat']), { classes: plainClasses(['cat', 'dog']) })).toEqual([
      '0.jpg dog',
      '1.jpg cat',
    ]);
    const named = await open(texts(['dog', 'cat', 'cat', 'dog']));
    expect(named.classes).toEqual(['cat', 'dog']);
    expect(named.warnings).toEqual(['nothing but the .txt members beside the images can be labels: 2 classes']);
    // One licence for all, captions, long descriptions.
    for (const values of [
      ['licence x', 'licence x'],
      ['a cat', 'the cat', 'one dog', 'a dog'],
      ['x'.repeat(300), 'x'.repeat(300), 'y'.repeat(300), 'y'.repeat(300)],
    ]) {
      expect((await failureOf('INPUT', () => open(texts(values)))).fact).toBe(
        `the ${values.length} images have no labels`,
      );
    }
    expect(
      await labelled(['1.jpg', '1.index=1', '2.jpg', '2.index=0', '3.jpg', '3.index=0', '4.jpg', '4.index=1']),
    ).toEqual(['1.jpg 1', '2.jpg 0', '3.jpg 0', '4.jpg 1']);
    // Numbers of the images are no classes.
    await failureOf('INPUT', () => open(['1.jpg', '1.id=0', '2.jpg', '2.id=1']));
  });

  it('in class folders belongs to its folder where the texts are no labels', async () => {
    const source = await open(['a/1.jpg', 'a/1.txt=licence', 'b/2.jpg', 'b/2.txt=licence', 'b/2.json={"w": 1}']);
    expect([source.format, source.classes]).toEqual(['tar', ['a', 'b']]);
    expect(source.warnings).toEqual(['the texts beside 2 images are no labels: the folders are the classes']);
    // Of another field than the image is no label of it.
    const fields = await labelled(['a/1.jpg', 'a/1.meta.json={"label": 1}', 'b/2.jpg', 'b/2.old.cls=1']);
    expect(fields).toEqual(['a/1.jpg a', 'b/2.jpg b']);
    const texts = await open(['a/1.jpg', 'a/1.txt=1', 'b/2.jpg', 'b/2.txt=0']);
    expect([texts.classes, texts.warnings]).toEqual([
      ['0', '1'],
      ['the .txt members are the labels, not the 2 folders that the images lie in'],
    ]);
    expect(await labelled(['a/1.jpg', 'a/1.cls=1', 'b/2.jpg', 'b/2.cls=0'])).toEqual(['a/1.jpg 1', 'b/2.jpg 0']);
  });

  it('is no member of the tar that is hidden, a tool’s or about the tar', async () => {
    const members = ['__meta__/1.jpg', '._1.jpg', '__MACOSX/._1.jpg', '1.jpg', '1.cls=0', '.x/2.jpg', 'b/@eaDir/1.jpg'];
    const source = await open(members);
    expect([source.length, source.name(0)]).toEqual([1, '1.jpg']);
    expect(source.warnings).toEqual([
      "3 hidden or tool folders are left out: '__MACOSX', '.x', 'b/@eaDir'",
      '1 members are no images by their names: they are left out',
    ]);
  });
});

describe('names of classes', () => {
  it('are those of classes.txt beside the shards, found in a given list', async () => {
    const members = ['1.jpg', '1.cls=0', '2.jpg', '2.cls=1'];
    writeFileSync(join(folder, 'classes.txt'), 'cat\ndog\n');
    expect(await labelled(members)).toEqual(['1.jpg cat', '2.jpg dog']);
    expect(await labelled(members, { classes: plainClasses(['ant', 'dog', 'cat']) })).toEqual([
      '1.jpg cat',
      '2.jpg dog',
    ]);
  });
});

describe.skipIf(!hasCases)('reported shards', () => {
  const openCase = (name: string): Promise<ImageSource> => openSource(join(sharedFolder, 'cases/webdataset', name));

  it('have 24 images in the order of their labels', async () => {
    for (const name of ['plain', 'float_text', 'space_list', 'dots_in_folder', 'mask']) {
      const source = await openCase(name);
      const labels = Array.from({ length: source.length }, (_, index) => source.label(index));
      expect([name, labels]).toEqual([name, Array.from({ length: 24 }, (_, index) => index % 12)]);
      expect(source.classes).toEqual(Array.from({ length: 12 }, (_, index) => String(index)));
      await source.close();
    }
    const folders = await openCase('in_class_folders_with_txt');
    expect([folders.length, folders.classes.join('')]).toEqual([24, 'abcdefghijkl']);
    await folders.close();
    expect((await failureOf('FORMAT', () => openCase('minus_one'))).fact).toContain('has label -1');
  });
});
