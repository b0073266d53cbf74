import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodeRegion, defaultPixelLimit, imageHeaderOf, reductionFor } from '../../src/data/decode.js';
import type { Pixels } from '../../src/data/pixels.js';
import { failureOf } from '../support/errors.js';
import { hasShared, sharedFolder } from '../support/shared.js';
import { encoder, jpeg, pattern } from './support/images.js';

async function decode(bytes: Uint8Array): Promise<Pixels> {
  return (await decodeRegion(bytes, await imageHeaderOf(bytes, defaultPixelLimit))).pixels;
}

/** The largest difference of two images of the same size. */
function distance(one: Pixels, other: Pixels): number {
  expect([one.width, one.height, one.data.length]).toEqual([other.width, other.height, other.data.length]);
  return one.data.reduce((most, value, at) => Math.max(most, Math.abs(value - other.data[at]!)), 0);
}

// Written by Pillow 13: 8 x 8 pixels of CMYK.
const cmykJpeg = Buffer.from(
  '/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwACAQEBAQECAQEBAgICAgIEAwICAgIFBAQDBAYFBgYGBQYGBgcJCAYHCQcGBggLCAkKCgoKCgYICwwLCgwJCgoK/8AAFAgACAAIBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkASwAAPwD1j/g4j/5jv/bT+tesf8REf/U8/wDkz/8AXqn/AMEkv+YZ/wAAr9cP+Gtv+on/AOP1/9k=',
  'base64',
);

// Whatever this machine has: libvips is tested here.
delete process.env['LOWRANK_TURBOJPEG'];

describe('decoding', () => {
  const image = pattern(33, 21);

  it('gives back what lossless formats hold', async () => {
    const formats = [
      await encoder(image).png().toBuffer(),
      await encoder(image).webp({ lossless: true }).toBuffer(),
      await encoder(image).tiff({ compression: 'lzw' }).toBuffer(),
      Buffer.concat([Buffer.from('P6 # made by hand\n33 21\n255\n'), image.data]),
    ];
    for (const bytes of formats) expect(distance(await decode(bytes), image)).toBe(0);
  });

  it('repeats grey, drops alpha, and cuts 16 bits to 8', async () => {
    const grey = { data: Uint8Array.from({ length: 33 * 21 }, (_, at) => at * 7), width: 33, height: 21 };
    const repeated = {
      ...image,
      data: Uint8Array.from({ length: 33 * 21 * 3 }, (_, at) => grey.data[Math.floor(at / 3)]!),
    };
    const raw = { width: 33, height: 21, channels: 1 as const };
    const greyPng = await sharp(Buffer.from(grey.data), { raw }).toColourspace('b-w').png().toBuffer();
    expect(greyPng[25]).toBe(0);
    expect(distance(await decode(greyPng), repeated)).toBe(0);

    const transparent = Buffer.from(
      Array.from({ length: 33 * 21 * 4 }, (_, at) => (at % 4 === 3 ? 9 : image.data[at - (at >> 2)]!)),
    );
    const alpha = await sharp(transparent, { raw: { ...raw, channels: 4 } })
      .png()
      .toBuffer();
    expect(distance(await decode(alpha), image)).toBe(0);

    const words = Uint16Array.from(image.data, (value, at) => value * 256 + (at % 256));
    const deep = await sharp(words, { raw: { ...raw, channels: 3 } })
      .toColourspace('rgb16')
      .png()
      .toBuffer();
    expect(deep[24]).toBe(16);
    expect(distance(await decode(deep), image)).toBe(0);
  });

  it('converts CMYK as Pillow does, bit for bit', async () => {
    const header = await imageHeaderOf(cmykJpeg, 1e6);
    expect([header.format, header.channels]).toEqual(['jpeg', 4]);
    const { data } = await decode(cmykJpeg);
    expect(createHash('sha256').update(data).digest('hex').slice(0, 16)).toBe('3dad875b47fc869d');
  });

  it('takes the first frame of an animation', async () => {
    const frames = Buffer.concat([Buffer.alloc(8 * 8 * 3, 200), Buffer.alloc(8 * 8 * 3, 10)]);
    const raw = { width: 8, height: 16, channels: 3, pageHeight: 8 } as const;
    for (const animated of [
      await sharp(frames, { raw })
        .gif({ delay: [100, 100] })
        .toBuffer(),
      await sharp(frames, { raw })
        .webp({ lossless: true, delay: [100, 100] })
        .toBuffer(),
    ]) {
      expect((await sharp(animated).metadata()).pages).toBe(2);
      const pixels = await decode(animated);
      expect([pixels.width, pixels.height]).toEqual([8, 8]);
      expect(new Set(pixels.data)).toEqual(new Set([200]));
    }
  });

  it('decodes a part of a JPEG to the pixels that the whole has there', async () => {
    const bytes = await jpeg(pattern(200, 120));
    const whole = await decode(bytes);
    const box = { left: 51, top: 37, right: 120, bottom: 98 };
    const part = await decodeRegion(bytes, await imageHeaderOf(bytes, 1e6), { box, reduction: undefined });
    const { data, width } = part.pixels;
    expect([part.left, part.top, width]).toEqual([51, 37, 69]);
    for (let y = 37; y < 98; y++) {
      const row = data.subarray((y - 37) * width * 3, (y - 36) * width * 3);
      expect(Buffer.from(row).equals(whole.data.subarray((y * 200 + 51) * 3, (y * 200 + 120) * 3))).toBe(true);
    }
  });

  it('reduces only where twice the wanted pixels are left', () => {
    const box = { left: 0, top: 0, right: 1200, bottom: 900 };
    const size = { width: 1200, height: 900, format: 'jpeg' };
    expect(reductionFor(size, box, { width: 224, height: 224 })).toBeUndefined();
    expect(reductionFor(size, box, { width: 100, height: 100 })).toEqual({ width: 400, height: 300 });
    expect(reductionFor({ ...size, format: 'png' }, box, { width: 10, height: 10 })).toBeUndefined();
  });
});

describe('bad images', () => {
  it('are refused with a reason', async () => {
    const good = await jpeg(pattern(64, 64));
    const png = await encoder(pattern(64, 64)).png().toBuffer();
    const cases: readonly [Uint8Array, RegExp][] = [
      [Buffer.alloc(0), /^the file is empty$/],
      [Buffer.from('<html>not an image</html>'), /^no image that can be read \(it starts with 3c68746d6c3e6e6f\)/],
      [good.subarray(0, good.length >> 1), /^premature end of JPEG image$/],
      [good.subarray(0, good.length - 20), /^premature end of JPEG image$/],
      [png.subarray(0, png.length >> 1), /^libpng read error$/],
      [Buffer.concat([Buffer.from('P6 64 64 255\n'), Buffer.alloc(100)]), /cut: 12188 of 12288 bytes/],
      [
        good.subarray(0, 10),
        /^no image that can be read \(it starts with ffd8[0-9a-f]+\): premature end of JPEG image$/,
      ],
    ];
    for (const [bytes, reason] of cases) {
      const failure = await failureOf('FORMAT', () => decode(bytes));
      expect(failure.fact).toMatch(reason);
    }
  });

  it('are those with bytes that are damaged', async () => {
    const bytes = Buffer.from(await encoder(pattern(64, 64)).png().toBuffer());
    bytes.fill(0x55, bytes.length >> 1, (bytes.length >> 1) + 40);
    await failureOf('FORMAT', () => decode(bytes));
  });

  it('are those of too many pixels, before anything is decoded', async () => {
    const large = await sharp({ create: { width: 10_000, height: 10_000, channels: 3, background: '#456' } })
      .png({ compressionLevel: 1 })
      .toBuffer();
    const failure = await failureOf('FORMAT', () => imageHeaderOf(large, defaultPixelLimit));
    expect(failure.fact).toBe('10000x10000 are 100.0 megapixels, the limit is 89.5');
    expect((await imageHeaderOf(large, 1e8)).width).toBe(10_000);
  });

  it('never end the process, whatever bytes are changed', async () => {
    const good = await jpeg(pattern(40, 30));
    let failures = 0;
    for (let at = 0; at < good.length; at += 3) {
      const bytes = Buffer.from(good);
      bytes[at]! ^= 1 << (at % 8);
      try {
        await decode(bytes);
      } catch (error) {
        expect(error).toMatchObject({ code: 'FORMAT' });
        failures += 1;
      }
    }
    expect(failures).toBeGreaterThan(10);
  });
});

describe('odd images', () => {
  it('are taken as Pillow takes them: a JPEG whose pixels are all there needs no end mark', async () => {
    const good = await jpeg(pattern(64, 64));
    const whole = await decode(good);
    expect(distance(await decode(good.subarray(0, good.length - 2)), whole)).toBe(0);
    expect(distance(await decode(Buffer.concat([good, Buffer.from('appended')])), whole)).toBe(0);
  });
});

describe.skipIf(!hasShared)('real pictures', () => {
  // Made with Pillow 13: sha256 over Image.open(path).convert("RGB").tobytes() of all files, sorted by name.
  it('decode to the pixels of Pillow, bit for bit', async () => {
    const folder = join(sharedFolder, 'data/images/imagenet-sample');
    const hash = createHash('sha256');
    for (const name of readdirSync(folder).toSorted((one, other) => (one < other ? -1 : 1)))
      hash.update((await decode(readFileSync(join(folder, name)))).data);
    expect(hash.digest('hex').slice(0, 16)).toBe('a840cbe94f026ea6');
  });
});
