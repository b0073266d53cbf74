import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { cachedSource } from '../../src/data/cached-source.js';
import { checkSource } from '../../src/data/check.js';
import { createLoader } from '../../src/data/loader.js';
import type { OutputFormat } from '../../src/data/normalize.js';
import { openSource } from '../../src/data/open.js';
import { cmykToRgb } from '../../src/data/pixels.js';
import type { Transform } from '../../src/data/transform.js';
import type { ImageSource } from '../../src/data/types.js';
import { failureOf } from '../support/errors.js';
import { temporaryFolder, writeTree } from './support/images.js';
import { tiff } from './support/tiff.js';

const [width, height] = [14, 10];
const size = { width, height };
const whole: Transform = { kind: 'stretch', ...size };
const base = temporaryFolder();
let folders = 0;

/** Of any number of channels, without a pattern in which two of them are alike. */
function bytesOf(channels: number): Uint8Array {
  return Uint8Array.from({ length: width * height * channels }, (_, at) => (at * at * 31 + at * 7 + (at >> 3)) % 256);
}

function wordsOf(channels: number): Uint16Array {
  return Uint16Array.from({ length: width * height * channels }, (_, at) => (at * at * 7919 + at * 257) % 65_536);
}

/** One band of interleaved samples. */
function band<T extends Uint8Array | Float32Array>(samples: T, channels: number, which: number): T {
  return samples.filter((_, at) => at % channels === which) as T;
}

/** What is read of files, all in one batch: the images, and what is wrong with those that are bad. */
async function read(
  files: Readonly<Record<string, Uint8Array>>,
  format: OutputFormat,
  transform: Transform = whole,
  change: (source: ImageSource) => Promise<ImageSource> = (source) => Promise.resolve(source),
) {
  const folder = join(base, String(folders++));
  writeTree(folder, Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`a/${name}`, bytes])));
  const source = await change(await openSource(folder));
  const loader = createLoader({
    source,
    transform,
    format,
    batchSize: source.length,
    workers: 0,
    maxBad: 99,
    last: 'pad',
  });
  try {
    for await (const { images, dims } of loader.batches(0)) {
      return { images: images.slice(), dims, bad: loader.bad.map(({ reason }) => reason) };
    }
    throw new Error('no batch');
  } finally {
    await loader.close();
    await source.close();
  }
}

const bytes = (channels: number): OutputFormat => ({ type: 'uint8', layout: 'nhwc', channels });
writeTree(join(base, 'limit'), { 'a/a.tif': tiff({ ...size, samples: bytesOf(12) }) });
const raw4 = { raw: { ...size, channels: 4 } } as const;
const rgba = bytesOf(4);
const rgb = rgba.filter((_, at) => at % 4 !== 3);

describe('four channels', () => {
  it('are red, green, blue and alpha as stored, in PNG, WebP and TIFF', async () => {
    const image = sharp(rgba, raw4);
    const files = {
      'a.png': await image.png().toBuffer(),
      'b.webp': await image.webp({ lossless: true, exact: true }).toBuffer(),
      'c.tif': await image.tiff({ compression: 'lzw' }).toBuffer(),
      'd.tif': tiff({ ...size, samples: rgba, photometric: 2 }),
      // Four bands that are said to be of no colors.
      'e.tif': tiff({ ...size, samples: rgba }),
    };
    const { images, dims, bad } = await read(files, bytes(4));
    expect([dims, bad]).toEqual([[5, height, width, 4], []]);
    for (let at = 0; at < 5; at++) expect(images.subarray(at * rgba.length, (at + 1) * rgba.length)).toEqual(rgba);
  });

  it('have an alpha of 255 where a picture has none, and grey is repeated', async () => {
    const grey = band(rgba, 4, 0);
    const greyAlpha = Uint8Array.from({ length: 2 * grey.length }, (_, at) => rgba[(at >> 1) * 4 + (at % 2) * 3]!);
    const files = {
      'a.png': await sharp(rgb, { raw: { ...size, channels: 3 } })
        .png()
        .toBuffer(),
      'b.ppm': Buffer.concat([Buffer.from(`P6 ${width} ${height} 255\n`), rgb]),
      'c.png': await sharp(grey, { raw: { ...size, channels: 1 } })
        .toColourspace('b-w')
        .png()
        .toBuffer(),
      'd.png': await sharp(greyAlpha, { raw: { ...size, channels: 2 } })
        .toColourspace('b-w')
        .png()
        .toBuffer(),
    };
    const { images, bad } = await read(files, bytes(4));
    expect(bad).toEqual([]);
    const opaque = rgba.map((value, at) => (at % 4 === 3 ? 255 : value));
    const greys = (alpha: (pixel: number) => number): Uint8Array =>
      rgba.map((_, at) => (at % 4 === 3 ? alpha(at >> 2) : grey[at >> 2]!));
    const expected = [opaque, opaque, greys(() => 255), greys((pixel) => rgba[pixel * 4 + 3]!)];
    for (const [at, each] of expected.entries()) {
      expect(images.subarray(at * rgba.length, (at + 1) * rgba.length)).toEqual(each);
    }
  });

  it('are the colors of inks and 255 of a CMYK TIFF, without a profile', async () => {
    const files = { 'a.tif': tiff({ ...size, samples: rgba, photometric: 5 }) };
    const colors = cmykToRgb(rgba);
    expect((await read(files, bytes(3))).images).toEqual(colors);
    const { images } = await read(files, bytes(4));
    expect(images.filter((_, at) => at % 4 !== 3)).toEqual(colors);
    expect(new Set(images.filter((_, at) => at % 4 === 3))).toEqual(new Set([255]));
  });

  it('are not read of a GIF with transparency, nor of what was cached in three colors', async () => {
    const clear = rgba.map((value, at) => (at % 4 === 3 ? (at % 8 === 3 ? 0 : 255) : value));
    const files = { 'a.gif': await sharp(clear, raw4).gif().toBuffer() };
    expect((await read(files, bytes(4))).bad).toEqual(['its transparency is not read: write it as PNG']);
    const png = { 'a.png': await sharp(rgba, raw4).png().toBuffer() };
    const { bad } = await read(png, bytes(4), whole, (source) => cachedSource(source, { maxBytes: 1e6, workers: 0 }));
    expect(bad).toEqual(['it was cached in three colors where the model takes 4 channels']);
  });
});

describe('TIFF of bands', () => {
  it.each([2, 5, 6, 12, 16])('of %i bytes are read in their order, whatever they are said to be', async (channels) => {
    const samples = bytesOf(channels);
    const kinds = channels < 3 ? [0, 1] : [0, 1, 2];
    const files = Object.fromEntries(
      kinds.map((photometric) => [`${photometric}.tif`, tiff({ ...size, samples, photometric })] as const),
    );
    const { images, bad } = await read(files, bytes(channels));
    expect(bad).toEqual([]);
    for (const at of kinds.keys()) {
      expect(images.subarray(at * samples.length, (at + 1) * samples.length)).toEqual(samples);
    }
  });

  it.each([2, 4, 6, 12])('of %i times 16 bits are x / 65535, then normalized by channel', async (channels) => {
    const samples = wordsOf(channels);
    const mean = Array.from({ length: channels }, (_, channel) => 0.1 + channel / 32);
    const deviation = mean.map((value) => value + 0.25);
    const format = { type: 'float32', channels, normalization: { mean, deviation } } as const;
    const files = { 'a.tif': tiff({ ...size, samples }) };
    const last = await read(files, { ...format, layout: 'nhwc' });
    const valueOf = (x: number, channel: number): number => {
      const [m, d] = [Math.fround(mean[channel]!), Math.fround(deviation[channel]!)];
      return Math.fround(Math.fround(Math.fround(x / 65_535) - m) / d);
    };
    const expected = Float32Array.from(samples, (x, at) => valueOf(x, at % channels));
    // The weights of a filter that changes nothing are exact.
    expect(last).toEqual({ images: expected, dims: [1, height, width, channels], bad: [] });
    const first = await read(files, { ...format, layout: 'nchw' });
    expect(first.dims).toEqual([1, channels, height, width]);
    const planes = Array.from({ length: channels }, (_, channel) => [...band(expected, channels, channel)]).flat();
    expect([...first.images]).toEqual(planes);
    expect((await read(files, bytes(channels))).images).toEqual(Uint8Array.from(samples, (x) => Math.round(x / 257)));
  });

  it('are resized, cropped, moved over black and mirrored, band by band, as grey pictures are', async () => {
    const channels = 5;
    // Bicubic filters go beyond these less than to black or white, where bytes are cut.
    const samples = bytesOf(channels).map((x) => 64 + (x >> 1));
    const transforms: Transform[] = [
      { kind: 'center-crop', width: 16, height: 7, resize: 8, interpolation: 'bicubic' },
      { kind: 'padded-crop', width: 12, height: 12, padding: 3, resize: 9, flip: 1 },
      { kind: 'random-resized-crop', width: 8, height: 8, flip: 1 },
      { kind: 'stretch', width: 9, height: 21 },
    ];
    const normalization = { mean: [0.1, 0.2, 0.3, 0.4, 0.5], deviation: [0.5, 0.6, 0.7, 0.8, 0.9] };
    for (const transform of transforms) {
      for (const layout of ['nhwc', 'nchw'] as const) {
        const all = await read(
          { 'a.tif': tiff({ ...size, samples }) },
          { type: 'float32', layout, channels, normalization },
          transform,
        );
        const words = Uint16Array.from(samples, (x) => 257 * x);
        const deep = await read(
          { 'a.tif': tiff({ ...size, samples: words }) },
          { type: 'float32', layout, channels, normalization },
          transform,
        );
        for (let channel = 0; channel < channels; channel++) {
          const png = await sharp(band(samples, channels, channel), { raw: { ...size, channels: 1 } })
            .toColourspace('b-w')
            .png()
            .toBuffer();
          const [mean, deviation] = [[normalization.mean[channel]!], [normalization.deviation[channel]!]];
          const one = await read(
            { 'a.png': png },
            { type: 'float32', layout, normalization: { mean, deviation } },
            transform,
          );
          const own = (images: Float32Array): Float32Array =>
            layout === 'nhwc'
              ? band(images, channels, channel)
              : images.subarray(channel * one.images.length, (channel + 1) * one.images.length);
          expect(own(all.images as Float32Array)).toEqual(one.images);
          // Of bytes either pass is rounded to a level: half a level each, the first times the weights of the second, 1.27.
          for (const [at, value] of own(deep.images as Float32Array).entries()) {
            expect(Math.abs(value - one.images[at]!) * 255 * deviation[0]!).toBeLessThanOrEqual(1.3);
          }
        }
      }
    }
  });

  it('of another number than the model takes are bad, and so is what is not 8 or 16 bits from 0', async () => {
    const files = {
      'a.tif': tiff({ ...size, samples: bytesOf(5) }),
      'b.png': await sharp(rgba, raw4).png().toBuffer(),
      'c.tif': tiff({ ...size, samples: new Int16Array(width * height * 6) }),
      'd.tif': tiff({ ...size, samples: bytesOf(6) }).subarray(0, 500),
    };
    const six = await read(files, bytes(6));
    expect(six.bad.slice(0, 3)).toEqual([
      'it has 5 bands where the model takes 6 channels: give TIFF of 6 bands, or arrays (.npy)',
      'it has 4 bands where the model takes 6 channels: give TIFF of 6 bands, or arrays (.npy)',
      'its samples are not whole numbers of 8 or 16 bits from 0: write it so, or as an array (.npy)',
    ]);
    expect(six.bad).toHaveLength(4);
    const four = await read({ 'a.tif': files['a.tif'] }, bytes(4));
    expect(four.bad).toEqual([
      'it has 5 bands where the model takes 4 channels: give TIFF of 4 bands, or arrays (.npy)',
    ]);
    for (const channels of [1, 3]) {
      const { bad } = await read(
        { 'a.tif': files['a.tif'], 'b.tif': tiff({ ...size, samples: rgba }) },
        bytes(channels),
      );
      expect(bad).toEqual([
        'it has 5 bands, which are no color or grey picture: give TIFF of those that the model takes, or arrays (.npy)',
        'it has 4 bands, which are no color or grey picture: give TIFF of those that the model takes, or arrays (.npy)',
      ]);
    }
  });

  it('of more than four bytes for each of the pixels that may be are bad', async () => {
    const source = await openSource(join(base, 'limit'));
    const options = {
      source,
      transform: whole,
      format: bytes(12),
      batchSize: 1,
      workers: 0,
      maxBad: 1,
      last: 'pad',
    } as const;
    for (const [pixelLimit, reasons] of [
      [width * height * 3, []],
      [width * height * 3 - 1, [expect.stringMatching(/^14x10 of 12 channels are 0\.0 MB, the limit is/)]],
    ] as const) {
      const loader = createLoader({ ...options, pixelLimit });
      for await (const batch of loader.batches(0)) expect(batch.size).toBe(1 - reasons.length);
      expect(loader.bad.map(({ reason }) => reason)).toEqual(reasons);
      await loader.close();
    }
    await source.close();
  });

  it('are seen by a check of the data set', async () => {
    const folder = join(base, 'check');
    writeTree(folder, {
      'a/a.tif': tiff({ ...size, samples: bytesOf(12) }),
      'a/b.tif': tiff({ ...size, samples: wordsOf(12) }),
      'a/c.tif': tiff({ ...size, samples: wordsOf(4) }),
    });
    const source = await openSource(folder);
    const { bad, formats, kinds } = await checkSource(source, { workers: 0 });
    expect({ bad, formats, kinds }).toEqual({ bad: [], formats: { tiff: 3 }, kinds: { grey: 0, cmyk: 0, deep: 2 } });
    await source.close();
  });
});

it('formats of no channels, of 17 and of other means than channels are refused', async () => {
  const source = await openSource(join(base, 'check'));
  const normalization = { mean: [0.5, 0.5, 0.5], deviation: [0.25, 0.25, 0.25] };
  for (const [channels, reason] of [
    [0, /are 0/],
    [17, /up to 16/],
    [2.5, /are 2.5/],
    [6, /6 finite numbers/],
  ] as const) {
    const format = { type: 'float32', layout: 'nchw', channels, normalization } as const;
    const failure = await failureOf('USAGE', () => createLoader({ source, transform: whole, format, batchSize: 1 }));
    expect(failure.message).toMatch(reason);
  }
  await source.close();
});
