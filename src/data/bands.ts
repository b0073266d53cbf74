import sharp from 'sharp';
import { LowrankError } from '../errors.js';
import { badImage, checkSize, decodeRegion, openImage, reasonOfLibvips } from './decode.js';
import type { ImageHeader } from './image-header.js';
import { saidToBeRgb, tiffSamples } from './tiff.js';

/** Interleaved samples, `data[(y · width + x) · channels + c]`: bytes of which 255 is white, or 16 bits of which 65535 is. */
export interface Bands {
  readonly data: Uint8Array | Uint16Array;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

/**
 * Decodes a picture for a model of other than one or three channels. A TIFF of as many bands gives them as they are stored, in 8 or
 * 16 bits. Four channels are red, green, blue and alpha, which is not multiplied into the colors: of any picture, grey repeated, an
 * alpha of 255 where there is none. More than four bytes for each of `pixelLimit` pixels are refused. Throws FORMAT, saying why, for all other pictures and for those that are damaged.
 */
export async function decodeBands(
  bytes: Uint8Array,
  header: ImageHeader,
  channels: number,
  pixelLimit: number,
): Promise<Bands> {
  checkSamples(header, channels, pixelLimit);
  const samples = header.format === 'tiff' ? tiffSamples(bytes) : undefined;
  const areColors = samples === undefined || !samples.isPlain || (samples.areInks && header.channels <= 4);
  if (!areColors && header.channels === channels) {
    if (!samples.areUnsigned || header.depth > 16) {
      throw badImage('its samples are not whole numbers of 8 or 16 bits from 0: write it so, or as an array (.npy)');
    }
    return decodeStored(bytes, header);
  }
  if (channels !== 4 || header.channels > 4) {
    const count = `it has ${header.channels} ${header.channels === 1 ? 'band' : 'bands'}`;
    const remedy = `give TIFF of ${channels} bands, or arrays (.npy)`;
    throw badImage(`${count} where the model takes ${channels} channels: ${remedy}`);
  }
  return withAlpha(await decodeColors(bytes, header, samples?.areInks === true));
}

/** Bands take no more memory than color and alpha of `pixelLimit` pixels. */
function checkSamples({ width, height, depth }: ImageHeader, channels: number, pixelLimit: number): void {
  const [size, limit] = [width * height * channels * Math.ceil(depth / 8), 4 * pixelLimit];
  if (size <= limit) return;
  const [has, most] = [size, limit].map((count) => (count / 1e6).toFixed(1));
  throw badImage(`${width}x${height} of ${channels} channels are ${has} MB, the limit is ${most}`);
}

/** Of a TIFF, as its file has them. */
async function decodeStored(bytes: Uint8Array, header: ImageHeader): Promise<Bands> {
  const { channels } = header;
  // libvips knows no red, green and blue of two.
  const space = channels < 3 ? 'multiband' : header.depth === 16 ? 'rgb16' : 'srgb';
  const bands = await decodeIn(space, saidToBeRgb(bytes), header);
  if (bands.channels === channels) return bands;
  throw badImage(`${bands.channels} bands are decoded, where the header says ${channels}`);
}

/** Of one (grey), two (grey, alpha), three, or four (RGB, alpha) channels. */
async function decodeColors(bytes: Uint8Array, header: ImageHeader, areInks: boolean): Promise<Bands> {
  const { format } = header;
  if (format === 'gif' && (await sharp(bytes).metadata()).hasAlpha) {
    throw badImage('its transparency is not read: write it as PNG');
  }
  if (areInks || !['png', 'webp', 'tiff', 'heif'].includes(format)) {
    return { ...(await decodeRegion(bytes, header)).pixels, channels: 3 };
  }
  const isDeep = header.depth === 16 && format === 'png';
  return decodeIn(isDeep ? 'rgb16' : 'srgb', bytes, header);
}

async function decodeIn(
  space: 'srgb' | 'rgb16' | 'multiband',
  bytes: Uint8Array,
  { width, height, depth }: ImageHeader,
): Promise<Bands> {
  const isDeep = space !== 'srgb' && depth === 16;
  try {
    let image = openImage(bytes, { width, height }, false);
    if (space !== 'srgb') image = image.pipelineColourspace(space).toColourspace(space);
    const raw = image.raw({ depth: isDeep ? 'ushort' : 'uchar' });
    const { data, info } = await raw.toBuffer({ resolveWithObject: true });
    checkSize(info, { width, height });
    return { data: isDeep ? inWords(data) : data, width, height, channels: info.channels };
  } catch (error) {
    throw error instanceof LowrankError ? error : badImage(reasonOfLibvips(error), error);
  }
}

/** 16 bits in the order of this machine, at an address that they may have. */
function inWords(bytes: Uint8Array): Uint16Array {
  return new Uint16Array(new Uint8Array(bytes).buffer);
}

function withAlpha({ data, width, height, channels }: Bands): Bands {
  if (channels === 4) return { data, width, height, channels };
  const isDeep = data instanceof Uint16Array;
  const opaque = isDeep ? 65_535 : 255;
  const four = isDeep ? new Uint16Array(width * height * 4) : new Uint8Array(width * height * 4);
  const [green, blue] = channels < 3 ? [0, 0] : [1, 2];
  for (let from = 0, to = 0; to < four.length; from += channels, to += 4) {
    four[to] = data[from]!;
    four[to + 1] = data[from + green]!;
    four[to + 2] = data[from + blue]!;
    four[to + 3] = channels === 2 ? data[from + 1]! : opaque;
  }
  return { data: four, width, height, channels: 4 };
}

/** Pixels of three colors, opaque. */
export function opaque(pixels: Omit<Bands, 'channels'>): Bands {
  return withAlpha({ ...pixels, channels: 3 });
}

/** Three bands from `first` on as pixels of three channels; where there are fewer, the rest is 0. */
export function threeOf(
  { data, width, height, channels }: Bands & { readonly data: Uint8Array },
  first: number,
): {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
} {
  const three = new Uint8Array(width * height * 3);
  const count = Math.min(3, channels - first);
  for (let band = 0; band < count; band++) {
    for (let from = first + band, to = band; to < three.length; from += channels, to += 3) three[to] = data[from]!;
  }
  return { data: three, width, height };
}
