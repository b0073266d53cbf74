import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { createLoader } from '../../src/data/loader.js';
import { NORMALIZATIONS, normalizationFor, type OutputFormat } from '../../src/data/normalize.js';
import { openSource } from '../../src/data/open.js';
import { toGrey } from '../../src/data/pixels.js';
import type { Transform } from '../../src/data/transform.js';
import { failureOf } from '../support/errors.js';
import { jpeg, pattern, temporaryFolder, writeTree } from './support/images.js';

const folder = temporaryFolder();
const grey = Uint8Array.from({ length: 12 * 12 }, (_, at) => (7 * at) % 256);
const raw = { width: 12, height: 12, channels: 1 } as const;
writeTree(folder, {
  'grey/a.png': await sharp(grey, { raw }).png().toBuffer(),
  'grey/b.jpg': await sharp(grey, { raw }).jpeg({ quality: 90 }).toBuffer(),
  'red/c.jpg': await jpeg(pattern(12, 12)),
});
const whole: Transform = { kind: 'center-crop', width: 12, height: 12, resize: 12 };

/** All images of the folder in one batch: a.png, b.jpg, c.jpg. */
async function imagesOf(format: OutputFormat, transform: Transform = whole) {
  const source = await openSource(folder);
  const loader = createLoader({ source, transform, format, batchSize: 3, workers: 0 });
  try {
    for await (const { images, dims } of loader.batches(0)) return { images: images.slice(), dims };
    throw new Error('no batch');
  } finally {
    await loader.close();
    await source.close();
  }
}

describe('grey of colors', () => {
  it("is the luma of BT.601 to the level, as Pillow's convert('L') has it", () => {
    const colors = [
      [255, 0, 0, 76],
      [0, 255, 0, 150],
      [0, 0, 255, 29],
      [255, 255, 0, 226],
      [12, 200, 99, 132],
      [255, 255, 255, 255],
    ];
    const data = Uint8Array.from(colors.flatMap((color) => color.slice(0, 3)));
    const expected = colors.flatMap(([, , , luma]) => [luma, luma, luma]);
    expect([...toGrey({ data, width: colors.length, height: 1 }).data]).toEqual(expected);
  });

  it('is 0.299 R + 0.587 G + 0.114 B to the nearest level, and grey itself', () => {
    const { data } = pattern(64, 64);
    const luma = toGrey({ data, width: 64, height: 64 }).data;
    for (let at = 0; at < data.length; at += 3) {
      const exact = (299 * data[at]! + 587 * data[at + 1]! + 114 * data[at + 2]!) / 1000;
      // Half a level of rounding, and the weights are of 16 bits.
      expect(Math.abs(luma[at]! - exact)).toBeLessThanOrEqual(0.5 + (3 * 255) / 2 ** 17);
    }
    const levels = Uint8Array.from({ length: 3 * 256 }, (_, at) => Math.floor(at / 3));
    expect(toGrey({ data: levels, width: 256, height: 1 }).data).toEqual(levels);
  });
});

describe('batches of grey images', () => {
  it('keep what is grey as it is, and take the luma of what is not, in either layout', async () => {
    const colors = await imagesOf({ type: 'uint8', layout: 'nhwc' });
    const { images, dims } = await imagesOf({ type: 'uint8', layout: 'nhwc', channels: 1 });
    expect(dims).toEqual([3, 12, 12, 1]);
    expect(images.slice(0, 144)).toEqual(grey);
    const { data } = toGrey({ data: colors.images as Uint8Array, width: 36, height: 12 });
    expect(images).toEqual(data.filter((_, at) => at % 3 === 0));
    const normalization = { mean: [0.5], deviation: [0.25] } as const;
    const floats = await imagesOf({ type: 'float32', layout: 'nchw', normalization });
    expect(floats.dims).toEqual([3, 1, 12, 12]);
    const value = (x: number): number => Math.fround((Math.fround(x / 255) - 0.5) / 0.25);
    expect(floats.images).toEqual(Float32Array.from(images, value));
    expect((await imagesOf({ type: 'float32', layout: 'nhwc', normalization })).images).toEqual(floats.images);
  });

  it('are resized, moved over black and mirrored as those of colors are', async () => {
    const transforms: Transform[] = [
      { kind: 'center-crop', width: 16, height: 10, resize: 9 },
      { kind: 'padded-crop', width: 12, height: 12, padding: 3, flip: 0.5 },
      { kind: 'random-resized-crop', width: 8, height: 8, flip: 1 },
    ];
    for (const transform of transforms) {
      const colors = await imagesOf({ type: 'uint8', layout: 'nhwc' }, transform);
      const { images } = await imagesOf({ type: 'uint8', layout: 'nhwc', channels: 1 }, transform);
      // Of the grey ones: what is grey has three equal channels.
      const length = (2 * images.length) / 3;
      expect(images.slice(0, length)).toEqual(
        (colors.images as Uint8Array).filter((_, at) => at % 3 === 0).slice(0, length),
      );
      expect(new Set(images.slice(length)).size).toBeGreaterThan(1);
    }
  });

  it('have a normalization of one number', async () => {
    expect(normalizationFor(NORMALIZATIONS.symmetric, 1)).toEqual({ mean: [0.5], deviation: [0.5] });
    expect(normalizationFor({ mean: [0.5], deviation: [0.25] }, 3)).toEqual({
      ...{ mean: [0.5, 0.5, 0.5], deviation: [0.25, 0.25, 0.25] },
    });
    expect(normalizationFor(NORMALIZATIONS.imagenet, 1)).toBeUndefined();
    const source = await openSource(join(folder));
    const { imagenet: normalization } = NORMALIZATIONS;
    const format = { type: 'float32', layout: 'nchw', channels: 1, normalization } as const;
    const { remedy } = await failureOf('USAGE', () => createLoader({ source, transform: whole, format, batchSize: 1 }));
    expect(remedy).toMatch(/one finite number each/);
    await source.close();
  });
});
