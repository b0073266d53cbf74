import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openSource } from '../../src/data/open.js';
import { architectureFile, imagesHash } from '../../src/study/content.js';
import { temporaryFolder } from '../support/command.js';
import { writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();

describe('architectureFile', () => {
  const hashOf = (architecture: string, imageSize: number | undefined, classes: number): string =>
    architectureFile({ name: 'net', source: { kind: 'created', architecture, imageSize }, train: {} }, classes, folder)
      .hash;

  it('tells networks, image sizes and classes apart, and nothing else', () => {
    const hashes = [
      hashOf('resnet8_cifar', undefined, 10),
      hashOf('resnet8_cifar', 16, 10),
      hashOf('resnet8_cifar', undefined, 11),
      hashOf('resnet8_cifar_nobn', undefined, 10),
    ];
    expect(new Set(hashes).size).toBe(4);
    expect(hashOf('resnet8_cifar', 32, 10)).toBe(hashes[0]);
    const hidden = ['20,20', '20,30'].map((text) => {
      const source = {
        kind: 'created',
        architecture: 'mlp',
        imageSize: 4,
        hidden: text.split(',').map(Number),
      } as const;
      return architectureFile({ name: 'net', source, train: {} }, 10, folder).hash;
    });
    expect(new Set([...hidden, hashOf('mlp', 4, 10)]).size).toBe(3);
  });
});

describe('imagesHash', () => {
  it('depends on the content of the images, their labels and names', async () => {
    const photos = join(folder, 'photos');
    await writeTextures(photos, 2, 1);
    const hash = async (): Promise<string> => {
      const source = await openSource(photos);
      try {
        return await imagesHash(source, undefined);
      } finally {
        await source.close();
      }
    };
    const first = await hash();
    expect(await hash()).toBe(first);
    await writeTextures(photos, 2, 2);
    const changed = await hash();
    expect(changed).not.toBe(first);
    mkdirSync(join(photos, 'another'));
    writeFileSync(join(photos, 'another', 'x.png'), '');
    expect(await hash()).not.toBe(changed);
  });
});
