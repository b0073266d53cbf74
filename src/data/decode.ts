import sharp from 'sharp';
import { LowrankError, messageOf } from '../errors.js';
import { loadTurboJpeg, type JpegDecoder } from '../runtime/turbojpeg.js';
import { decodeBmp } from './bmp.js';
import { decodeGif } from './gif.js';
import { readableFormats, recognizeImage } from './image-format.js';
import type { ImageFormat, ImageHeader } from './image-header.js';
import { hasJpegEnd } from './jpeg-header.js';
import { cmykToRgb, toRgb, type Box, type Pixels } from './pixels.js';
import { decodePnm } from './pnm.js';
import { tiffSamples } from './tiff.js';

/**
 * Decoding with libvips (sharp), to the very pixels that Pillow's `Image.open(...).convert("RGB")` gives: colour profiles
 * and EXIF orientation are ignored, grey is repeated, alpha dropped, palettes looked up, CMYK converted without a profile,
 * 16 bits cut to 8, and of an animation the first frame is taken. (Pillow differs for 16-bit grey: it clips at 255.) What
 * libvips has no decoder for, or takes otherwise than Pillow (BMP, PNM, GIF), is read here.
 */

/** Pillow's Image.MAX_IMAGE_PIXELS: a quarter of a gigabyte of RGB. */
export const defaultPixelLimit = 89_478_485;

/** Part of an image, or of the reduced image; its left upper corner lies at (left, top). */
export interface Region {
  readonly pixels: Pixels;
  readonly left: number;
  readonly top: number;
  readonly isReduced: boolean;
}

/** Which part to decode; a decoder that cannot do less decodes everything. */
export interface RegionRequest {
  /** In whole pixels, of the reduced image where there is a reduction. */
  readonly box: Box;
  readonly reduction: Reduction | undefined;
}

/** The whole image becomes `width` × `height`: at most a third of its size, so that libjpeg decodes at half or less. */
export interface Reduction {
  readonly width: number;
  readonly height: number;
}

let isConfigured = false;

/** One thread per image: the parallelism is across images. Nothing is ever decoded twice, so nothing is cached. */
function configure(): void {
  if (isConfigured) return;
  sharp.cache(false);
  sharp.concurrency(1);
  isConfigured = true;
}

let turboJpeg: Promise<JpegDecoder | undefined> | undefined;

/** The decoder of the library that LOWRANK_TURBOJPEG names. It gives the pixels that libvips gives, sooner. */
function turboJpegDecoder(): Promise<JpegDecoder | undefined> {
  const path = process.env['LOWRANK_TURBOJPEG'] ?? '';
  turboJpeg ??= path === '' ? Promise.resolve(undefined) : loadTurboJpeg(path);
  return turboJpeg;
}

/** What is wrong with an image. */
export function badImage(reason: string, cause?: unknown): LowrankError {
  return new LowrankError('FORMAT', reason, { cause });
}

/** The first sentence of libvips, which tells the same several times, each with who says it. */
export function reasonOfLibvips(error: unknown): string {
  const text = messageOf(error);
  const sentences = text.split(
    /\s*\b(?:Input buffer(?: has corrupt header)?|Vips\w+|vips\w*|\w+2vips|[a-z]+load\w*):\s*/,
  );
  return sentences.find((sentence) => sentence !== '') ?? text;
}

/** Size and format, from the bytes themselves where possible. Throws FORMAT, saying why, for what is no readable image. */
export async function imageHeaderOf(bytes: Uint8Array, pixelLimit: number): Promise<ImageHeader> {
  configure();
  if (bytes.length === 0) throw badImage('the file is empty');
  const recognized = recognizeImage(bytes);
  if (recognized === undefined) throw unknown(bytes, `it is none of ${readableFormats}`);
  const header = recognized.header ?? (await headerOfLibvips(bytes, recognized.format));
  const pixels = header.width * header.height;
  if (pixels > pixelLimit) {
    const [size, limit] = [pixels, pixelLimit].map((count) => (count / 1e6).toFixed(1));
    throw badImage(`${header.width}x${header.height} are ${size} megapixels, the limit is ${limit}`);
  }
  return header;
}

/** Reads no pixels. */
async function headerOfLibvips(bytes: Uint8Array, format: ImageFormat): Promise<ImageHeader> {
  try {
    const metadata = await sharp(bytes, { limitInputPixels: false, limitInputChannels: false }).metadata();
    if (metadata.format !== format) throw new Error(`its content is ${metadata.format}`);
    const { width, height, channels, depth, pageHeight } = metadata;
    const bits = depth === 'uchar' || depth === 'char' ? 8 : depth === 'ushort' || depth === 'short' ? 16 : 32;
    return { format, width, height: pageHeight ?? height, channels, depth: bits };
  } catch (error) {
    throw unknown(bytes, reasonOfLibvips(error), error);
  }
}

function unknown(bytes: Uint8Array, reason: string, cause?: unknown): LowrankError {
  const start = Buffer.from(bytes.subarray(0, 8)).toString('hex');
  return badImage(`no image that can be read (it starts with ${start}): ${reason}`, cause);
}

/** Decoders of this project's own, which take all of the image. */
const ownDecoders: Readonly<Partial<Record<ImageFormat, (bytes: Uint8Array) => Pixels>>> = {
  bmp: decodeBmp,
  gif: decodeGif,
  pbm: decodePnm,
  pgm: decodePnm,
  ppm: decodePnm,
};

/**
 * Decodes an image, or the part of it that `request` asks for. Throws FORMAT with the reason where the bytes are damaged or
 * cut, or hold more pixels than the header says. A JPEG without its end marker is decoded whole, so that a cut is found
 * whatever part is asked for.
 */
export async function decodeRegion(bytes: Uint8Array, header: ImageHeader, request?: RegionRequest): Promise<Region> {
  configure();
  const { format } = header;
  const own = ownDecoders[format];
  if (own !== undefined) return whole(own(bytes));
  if (format === 'tiff' && header.channels > 4) throw noPicture(header.channels);
  // Other formats are small or rare; decoding all of them finds damage wherever it is.
  const isPartial = request !== undefined && format === 'jpeg' && hasJpegEnd(bytes);
  const isCmyk = header.channels === 4 && (format === 'jpeg' || (format === 'tiff' && areInks(bytes, header)));
  if (isPartial && request.reduction === undefined && !isCmyk) {
    const decoder = await turboJpegDecoder();
    // Whatever it complains about, libvips decides.
    const data = decoder?.(bytes, header.width, header.height);
    if (data !== undefined) return whole({ data, width: header.width, height: header.height });
  }
  try {
    let image = openImage(bytes, header, isPartial);
    if (isCmyk) image = image.pipelineColourspace('cmyk').toColourspace('cmyk');
    const { reduction, box } = isPartial ? request : { reduction: undefined, box: undefined };
    if (reduction !== undefined)
      image = image.resize(reduction.width, reduction.height, { fit: 'fill', kernel: 'linear' });
    if (box !== undefined) {
      image = image.extract({
        left: box.left,
        top: box.top,
        width: box.right - box.left,
        height: box.bottom - box.top,
      });
    }
    const { data, info } = await image.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
    if (!isPartial) checkSize(info, header);
    // Grey, and more bands than alpha: each grey one becomes three.
    if (info.channels > 4) throw noPicture(header.channels);
    const rgb = isCmyk && info.channels === 4 ? cmykToRgb(data) : toRgb(data, info.channels);
    return {
      pixels: { data: rgb, width: info.width, height: info.height },
      left: box?.left ?? 0,
      top: box?.top ?? 0,
      isReduced: reduction !== undefined,
    };
  } catch (error) {
    throw error instanceof LowrankError ? error : badImage(reasonOfLibvips(error), error);
  }
}

function noPicture(bands: number): LowrankError {
  return badImage(
    `it has ${bands} bands, which are no color or grey picture: give TIFF of those that the model takes, or arrays (.npy)`,
  );
}

/** Of bytes alone: those of 16 bits libvips converts. */
function areInks(bytes: Uint8Array, { depth }: ImageHeader): boolean {
  return depth === 8 && tiffSamples(bytes)?.areInks === true;
}

function whole(pixels: Pixels): Region {
  return { pixels, left: 0, top: 0, isReduced: false };
}

/** libvips refuses more pixels than the header has, which is within the limit. */
export function openImage(bytes: Uint8Array, { width, height }: Size, isSequential: boolean): ReturnType<typeof sharp> {
  return sharp(bytes, {
    ignoreIcc: true,
    failOn: 'error',
    sequentialRead: isSequential,
    limitInputPixels: width * height,
    limitInputChannels: false,
  });
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Throws FORMAT where what is decoded has another size than the header says. */
export function checkSize(found: Size, said: Size): void {
  if (found.width === said.width && found.height === said.height) return;
  throw badImage(`${found.width}x${found.height} pixels, where the header says ${said.width}x${said.height}`);
}

/** Reductions by a factor at which sharp makes libjpeg decode at a half, a quarter and an eighth. */
const factors = [9, 5, 3] as const;

/**
 * How far an image can be reduced while decoding where `box` of it becomes `width` × `height` pixels: at least twice that
 * resolution is left for the antialiasing filter. undefined: not at all.
 */
export function reductionFor(
  image: { readonly width: number; readonly height: number; readonly format: string },
  box: Box,
  output: { readonly width: number; readonly height: number },
): Reduction | undefined {
  if (image.format !== 'jpeg') return undefined;
  const spare = Math.min((box.right - box.left) / output.width, (box.bottom - box.top) / output.height) / 2;
  const factor = factors.find((candidate) => candidate <= spare);
  if (factor === undefined) return undefined;
  return { width: Math.floor(image.width / factor), height: Math.floor(image.height / factor) };
}
