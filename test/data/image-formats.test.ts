import { createHash } from 'node:crypto';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodeRegion, defaultPixelLimit, imageHeaderOf } from '../../src/data/decode.js';
import type { Pixels } from '../../src/data/pixels.js';
import { isImageName } from '../../src/data/source.js';
import { failureOf } from '../support/errors.js';
import { bmp } from './support/bmp.js';
import { encoder, jpeg, pattern } from './support/images.js';

async function decode(bytes: Uint8Array): Promise<Pixels> {
  return (await decodeRegion(bytes, await imageHeaderOf(bytes, defaultPixelLimit))).pixels;
}

async function valuesOf(bytes: Uint8Array): Promise<number[]> {
  return [...(await decode(bytes)).data];
}

const hashOf = ({ data }: Pixels): string => createHash('sha256').update(data).digest('hex').slice(0, 16);

// Written by Pillow 13: a frame of 20 x 10 pixels at (5, 4) of 30 x 20, 16 colours, the fourth of which is transparent.
const gif = Buffer.from(
  'R0lGODlhHgAUAIMAALpUh6VLeJdEbo4/ZoM7X3o3WXMzU2owTWAsRlcoQFAkOkchND0cLTIXJSURGxAHDCH5BAEAAAMALAUABAAUAAoAAAh0AB8IfOCgYIMG' +
    'DBYoUJAAwQEDBgoQGFjQAcKEDBs+LCBxgECDFxU2dBiRAIEBAghaDMkQAUmJJwUIAJlQpMONJ1EKCLCyZssDOAegDECUZQKNETsOJQqAAcajLzvKJBoAQFOb' +
    'L03qZGoVgE2gJWPurNoVQEAAOw==',
  'base64',
);
const gifControl = gif.indexOf(Buffer.from([0x21, 0xf9]));
const opaque = Buffer.concat([gif.subarray(0, gifControl), gif.subarray(gifControl + 8)]);

// The hashes are those of Image.open(…).convert('RGB').tobytes() of Pillow 13.
describe('a GIF is what Pillow makes of it', () => {
  it('transparent pixels have the colour of their index, and so has the canvas around the frame', async () => {
    const pixels = await decode(gif);
    expect([pixels.width, pixels.height]).toEqual([30, 20]);
    expect([...pixels.data.subarray(0, 3)]).toEqual([0x8e, 0x3f, 0x66]);
    expect(hashOf(pixels)).toBe('2124f3d0b461de0c');
    expect(hashOf(await decode(opaque))).toBe('0b84582b614abe1b');
  });

  it('a frame beyond the canvas makes it larger', async () => {
    const bytes = Buffer.from(gif);
    bytes.set([10, 0, 8, 0], 6);
    bytes.set([3, 0, 2, 0], gifControl + 9);
    const pixels = await decode(bytes);
    expect([pixels.width, pixels.height, hashOf(pixels)]).toEqual([23, 12, '4d95cf062341ba05']);
  });

  it('where the end mark is missing the pixels are there; where pixels are missing they are not', async () => {
    for (const end of [1, 2]) expect(hashOf(await decode(gif.subarray(0, gif.length - end)))).toBe('2124f3d0b461de0c');
    expect((await failureOf('FORMAT', () => decode(gif.subarray(0, gif.length - 10)))).fact).toMatch(
      /^the GIF ends before its pixels: \d+ of 200 are missing$/,
    );
    const nonsense = Buffer.from(gif);
    nonsense.fill(0xff, gif.length - 50, gif.length - 10);
    await failureOf('FORMAT', () => decode(nonsense));
    for (const length of [gif.length - 40, 80, 20, 8]) await failureOf('FORMAT', () => decode(gif.subarray(0, length)));
  });
});

describe('BMP', () => {
  const red = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18];
  const image = { data: Uint8Array.from(red), width: 3, height: 2 };

  it.each([24, 32])('of %d bits, both ways up', async (bits) => {
    for (const isTopDown of [false, true]) expect(await valuesOf(bmp({ ...image, bits, isTopDown }))).toEqual(red);
  });

  it.each([1, 4, 8])('of %d bits, with a palette that lists fewer colours', async (bits) => {
    const palette = [
      [9, 8, 7],
      [1, 2, 3],
    ];
    const indices = { width: 5, height: 2, data: Uint8Array.from([0, 1, 1, 0, 1, 1, 0, 0, 1, 0]) };
    const expected = [...indices.data].flatMap((index) => palette[index]!);
    for (const headerSize of [12, 40, 124]) {
      expect(await valuesOf(bmp({ ...indices, bits, palette, headerSize }))).toEqual(expected);
    }
  });

  it('of 16 bits: five each, or as its bit fields say', async () => {
    const words = { width: 2, height: 1, data: Uint16Array.of(0x7fff, (3 << 10) | (7 << 5) | 30) };
    expect(await valuesOf(bmp({ ...words, bits: 16 }))).toEqual([255, 255, 255, 24, 57, 246]);
    const masks = [0xf800, 0x7e0, 0x1f];
    const expected = await valuesOf(
      bmp({ width: 2, height: 1, data: Uint16Array.of(0xffff, (3 << 11) | (7 << 5) | 30), bits: 16, masks }),
    );
    expect(expected).toEqual([255, 255, 255, 24, 28, 246]);
  });

  it('of other kinds is refused', async () => {
    const good = bmp({ ...image, bits: 24 });
    const changed = (at: number, value: number): Buffer => {
      const bytes = Buffer.from(good);
      bytes.writeInt32LE(value, at);
      return bytes;
    };
    const cases: readonly [Buffer, RegExp][] = [
      [changed(30, 1), /^a compressed BMP \(RLE8\), which is not read; save it as PNG$/],
      [changed(14, 41), /^a BMP whose header has 41 bytes$/],
      [changed(18, 0), /^0x2 pixels$/],
      [changed(18, -3), /^-3x2 pixels$/],
      [changed(28, 7), /^a BMP of 7 bits a pixel$/],
      [changed(10, 20), /^the pixels of the BMP begin at byte 20, inside its header$/],
      [changed(22, 200), /^the file is cut: \d+ of 2397 bytes of pixels are missing$/],
      [changed(22, -(2 ** 31)), /^3x2147483648 are 6442.5 megapixels, the limit is 89.5$/],
      [good.subarray(0, 30), /^the file is cut inside its header$/],
    ];
    for (const [bytes, reason] of cases) expect((await failureOf('FORMAT', () => decode(bytes))).fact).toMatch(reason);
  });
});

describe('PNM', () => {
  const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
  const grey = (...values: readonly number[]): number[] => values.flatMap((value) => [value, value, value]);

  it.each([
    ['P1, digits without spaces', 'P1\n# c\n3 2\n101#x\n01 0', grey(0, 255, 0, 255, 0, 255)],
    ['P2, scaled', 'P2 3 1 10 0 5 #half\n10', grey(0, 128, 255)],
    ['P3', 'P3\n2 1\n255\n1 2 3\n4 5 6\n', [1, 2, 3, 4, 5, 6]],
    ['P4, rows filled to bytes', 'P4 3 2 \xa0\x40', grey(0, 255, 0, 255, 0, 255)],
    ['P5', 'P5#x\n3 1 #y\n255\n\x00\x80\xff', grey(0, 128, 255)],
    ['P5 of 16 bits', 'P5 3 1 65535\n\x00\x00\x80\x00\xff\xff', grey(0, 128, 255)],
    ['P5, a number above its largest value', 'P5 2 1 100\n\xff\x32', grey(255, 128)],
    ['P6', 'P6 1 1 255 abc', [97, 98, 99]],
    ['P6 of 16 bits, a comment within the header', 'P6 1 1 65535#c\n\n\x12\x34\xff\xff\x00\x00', [18, 255, 0]],
  ])('%s', async (_, text, expected) => {
    expect(await valuesOf(latin1(text))).toEqual(expected);
  });

  it.each([
    ['P5 3 1 255\nab', /^the file is cut: 1 of 3 bytes of pixels are missing$/],
    ['P2 3 1 255 1 2', /^the file is cut: 1 of 3 numbers are missing$/],
    ['P2 30 10 255 1 2', /^the file is cut: 297 of 300 numbers are missing$/],
    ['P2 2 1 9 3 10', /^number 10 at byte 12, where 9 is the largest$/],
    ['P2 2 1 9 -3 4', /^byte 45 at 9, where a number is expected$/],
    ['P5 2 1 0\nab', /^0 as the largest value/],
    ['P5 2 1 70000\nab', /^70000 as the largest value, which is from 1 to 65535$/],
    ['P5 0 1 255\nab', /^0x1 pixels$/],
    ['P5 2', /^the header of the PNM ends before its height$/],
    ['P5 99999999999 1 255 a', /^a number of more than 10 digits/],
    ['P5 99999 99999 255 a', /^99999x99999 are 9999.8 megapixels, the limit is 89.5$/],
    ['P7\nWIDTH 1\n', /it is none of JPEG, PNG, GIF, WebP, TIFF, AVIF, BMP and PNM/],
  ])('%s is refused', async (text, reason) => {
    expect((await failureOf('FORMAT', () => decode(latin1(text)))).fact).toMatch(reason);
  });

  it('names in folders', () => {
    for (const name of ['a.bmp', 'a.PGM', 'a.pbm', 'a.ppm', 'a.pnm']) expect(isImageName(name)).toBe(true);
  });
});

describe('the content decides, not what a decoder would take', () => {
  const text = (content: string): Buffer => Buffer.from(content, 'latin1');
  it.each([
    ['SVG', text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')],
    [
      'SVG behind a declaration',
      text('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    ],
    ['PDF', text('%PDF-1.4\n')],
    ['HEIC', text('\0\0\0\x18ftypheic\0\0\0\0heicmif1')],
    ['JPEG 2000', text('\0\0\0\x0cjP  \r\n\x87\n')],
    ['Radiance', text('#?RADIANCE\n')],
    ['Matlab', text('MATLAB 5.0 MAT-file, Platform')],
    ['Photoshop', text('8BPS\0\x01')],
    ['a script', text('push graphic-context\nviewbox 0 0 9 9\n')],
  ])('%s is refused', async (_, bytes) => {
    const { fact } = await failureOf('FORMAT', () => decode(bytes));
    expect(fact).toMatch(/^no image that can be read \(it starts with [0-9a-f]+\): it is none of JPEG, /);
  });
});

describe('the header of a JPEG is the one that libjpeg finds', () => {
  /** Segments before the first frame of a JPEG of 40 x 30 pixels. */
  const withBytes = async (...bytes: readonly number[]): Promise<Buffer> => {
    const good = await jpeg(pattern(40, 30));
    return Buffer.concat([good.subarray(0, 2), Buffer.from(bytes), good.subarray(2)]);
  };
  /** A frame header of 1 x 1 pixels. */
  const small = [0xff, 0xc0, 0, 11, 8, 0, 1, 0, 1, 1, 1, 0x11, 0];

  it.each([
    ['bytes between segments', [1, 2, 3]],
    ['0xFF00 is no marker, and no segment that hides a frame', [0xff, 0x00, 0, 0]],
    ['repeated 0xFF', [0xff, 0xff, 0xff]],
    ['restart markers and TEM stand alone', [0xff, 0xd0, 0xff, 0xd7, 0xff, 0x01]],
    ['a frame inside a comment', [0xff, 0xfe, 0, 15, ...small]],
    ['a segment of length 0', [0xff, 0xe5, 0, 0]],
  ])('%s', async (_, bytes) => {
    const file = await withBytes(...bytes);
    const { width, height } = await sharp(file).metadata();
    expect([width, height]).toEqual([40, 30]);
    expect(await imageHeaderOf(file, 1e6)).toMatchObject({ width: 40, height: 30, channels: 3 });
  });

  it.each([
    ['a marker below 0xC0', [0xff, 0x02, 0, 4, 0, 0]],
    ['a marker below 0xC0, before a frame', [0xff, 0xbf, ...small]],
    ['a lossless frame', [0xff, 0xc3, ...small.slice(2)]],
    ['JPG', [0xff, 0xc8, 0, 4, 0, 0]],
    ['a hierarchical progression', [0xff, 0xde, 0, 4, 0, 0]],
    ['a second beginning', [0xff, 0xd8]],
    ['a frame whose length does not fit', [0xff, 0xc0, 0, 12, ...small.slice(4)]],
    ['a frame of no height', [0xff, 0xc0, 0, 11, 8, 0, 0, ...small.slice(7)]],
  ])('%s ends it', async (_, bytes) => {
    const file = await withBytes(...bytes);
    await expect(sharp(file).metadata()).rejects.toThrow();
    await failureOf('FORMAT', () => imageHeaderOf(file, 1e6));
  });

  it('no decoder takes more pixels than the header says', async () => {
    const header = { format: 'png', width: 10, height: 10, channels: 3, depth: 8 } as const;
    const bytes = await encoder(pattern(40, 30)).png().toBuffer();
    const failure = await failureOf('FORMAT', () => decodeRegion(bytes, header));
    expect(failure.fact).toMatch(/exceeds pixel limit/);
    const smaller = await failureOf('FORMAT', () => decodeRegion(bytes, { ...header, width: 400 }));
    expect(smaller.fact).toBe('40x30 pixels, where the header says 400x10');
  });

  it('of a WebP that of its canvas', async () => {
    const image = encoder(pattern(40, 30));
    for (const options of [{}, { lossless: true }]) {
      const bytes = await image.webp(options).toBuffer();
      expect(await imageHeaderOf(bytes, 1e6)).toMatchObject({ format: 'webp', width: 40, height: 30, channels: 3 });
      const clear = await encoder(pattern(40, 30)).ensureAlpha(0.5).webp(options).toBuffer();
      expect(await imageHeaderOf(clear, 1e6)).toMatchObject({ width: 40, height: 30, channels: 4 });
    }
    const large = Buffer.from(await encoder(pattern(40, 30)).ensureAlpha(0.5).webp().toBuffer());
    large.fill(0xff, 24, 30);
    const failure = await failureOf('FORMAT', () => imageHeaderOf(large, defaultPixelLimit));
    expect(failure.fact).toBe('16777216x16777216 are 281474976.7 megapixels, the limit is 89.5');
  });
});
