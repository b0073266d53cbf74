import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openSource } from '../../src/data/open.js';
import { loadTurboJpeg } from '../../src/runtime/turbojpeg.js';
import { failureOf } from '../support/errors.js';
import { bytesFormat, epochOf } from './support/batches.js';
import { encoder, jpeg, pattern, temporaryFolder, writeTree } from './support/images.js';

const folder = temporaryFolder();
const library = [
  process.env['LOWRANK_TURBOJPEG'] ?? '',
  '/usr/lib/x86_64-linux-gnu/libturbojpeg.so.0',
  '/usr/lib/aarch64-linux-gnu/libturbojpeg.so.0',
  '/opt/homebrew/lib/libturbojpeg.dylib',
].find((path) => path !== '' && existsSync(path));

describe('TurboJPEG', () => {
  const before = process.env['LOWRANK_TURBOJPEG'];
  afterEach(() => {
    if (before === undefined) delete process.env['LOWRANK_TURBOJPEG'];
    else process.env['LOWRANK_TURBOJPEG'] = before;
  });

  it.skipIf(library === undefined)(
    'changes no pixel, whatever the kind of JPEG, and finds the same bad images',
    async () => {
      const image = pattern(150, 101);
      const good = await jpeg(image);
      const damaged = Buffer.from(good);
      damaged.set([0xff, 0xd9], good.length >> 1);
      const path = writeTree(join(folder, 'kinds'), {
        'a/420.jpg': good,
        'a/444.jpg': await encoder(image).jpeg({ chromaSubsampling: '4:4:4' }).toBuffer(),
        'a/cmyk.jpg': await encoder(image).toColourspace('cmyk').jpeg().toBuffer(),
        'a/cut.jpg': good.subarray(0, good.length >> 1),
        'a/damaged.jpg': damaged,
        'a/grey.jpg': await encoder(image).toColourspace('b-w').jpeg().toBuffer(),
        'a/image.png': await encoder(image).png().toBuffer(),
        'a/progressive.jpg': await encoder(image).jpeg({ progressive: true }).toBuffer(),
      });
      const source = await openSource(path);
      const transform = { kind: 'random-resized-crop', width: 64, height: 64 } as const;
      const options = { source, transform, format: bytesFormat, batchSize: 1, maxBad: 1, bad: 'omit' } as const;
      for (const workers of [0, 2]) {
        delete process.env['LOWRANK_TURBOJPEG'];
        const plain = await epochOf({ ...options, workers: 2 });
        process.env['LOWRANK_TURBOJPEG'] = library;
        expect(await epochOf({ ...options, workers })).toEqual(plain);
        expect(plain.bad.map(({ name }) => name)).toEqual(['a/cut.jpg']);
      }
      const decode = await loadTurboJpeg(library!);
      expect(decode(good, 150, 101)).toHaveLength(150 * 101 * 3);
      expect(decode(good.subarray(0, 100), 150, 101)).toBeUndefined();
    },
  );

  it('says what is wrong where the library cannot be loaded', async () => {
    const failure = await failureOf('RUNTIME', () => loadTurboJpeg(join(folder, 'missing.so')));
    expect(failure.fact).toContain('TurboJPEG cannot be loaded');
    expect(failure.remedy).toContain('LOWRANK_TURBOJPEG');
  });
});
