import { bmpHeader } from './bmp.js';
import { gifHeader } from './gif.js';
import type { ImageFormat, ImageHeader } from './image-header.js';
import { jpegHeader } from './jpeg-header.js';
import { pnmHeader } from './pnm.js';
import { webpHeader } from './webp-header.js';

interface Recognized {
  readonly format: ImageFormat;
  /** undefined where this project's own code cannot tell, and libvips must. */
  readonly header: ImageHeader | undefined;
}

interface Reader {
  readonly format: ImageFormat;
  readonly isIt: (bytes: Uint8Array) => boolean;
  readonly header?: (bytes: Uint8Array) => ImageHeader | undefined;
}

const startsWith =
  (...patterns: readonly string[]) =>
  (bytes: Uint8Array): boolean =>
    patterns.some((pattern) => latin1(bytes, 0, pattern.length) === pattern);

/**
 * All formats that are read, by their first bytes: what is none of them never reaches a decoder, whatever its name is. No
 * two begin alike.
 */
const readers: readonly Reader[] = [
  { format: 'jpeg', isIt: startsWith('\xff\xd8'), header: jpegHeader },
  { format: 'png', isIt: startsWith('\x89PNG\r\n\x1a\n'), header: pngHeader },
  { format: 'gif', isIt: startsWith('GIF87a', 'GIF89a'), header: gifHeader },
  { format: 'webp', isIt: (bytes) => /^RIFF[^]{4}WEBP$/.test(latin1(bytes, 0, 12)), header: webpHeader },
  { format: 'tiff', isIt: startsWith('II*\0', 'MM\0*', 'II+\0', 'MM\0+') },
  { format: 'heif', isIt: isAvif },
  { format: 'bmp', isIt: startsWith('BM'), header: bmpHeader },
  { format: 'ppm', isIt: startsWith('P1', 'P2', 'P3', 'P4', 'P5', 'P6'), header: pnmHeader },
];

/** Their names, for messages. */
export const readableFormats = 'JPEG, PNG, GIF, WebP, TIFF, AVIF, BMP and PNM (PPM, PGM, PBM)';

/** The format and, where it can be made out, the header; undefined for all other formats. Throws FORMAT for a damaged one. */
export function recognizeImage(bytes: Uint8Array): Recognized | undefined {
  const reader = readers.find(({ isIt }) => isIt(bytes));
  return reader && { format: reader.format, header: reader.header?.(bytes) };
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1', start, end);
}

/** A file type box (ISO 14496-12) that names AVIF as its brand or among those that it is compatible with. */
function isAvif(bytes: Uint8Array): boolean {
  if (bytes.length < 16 || latin1(bytes, 4, 8) !== 'ftyp') return false;
  const size = Buffer.from(bytes.buffer, bytes.byteOffset, 4).readUInt32BE(0);
  const brands = latin1(bytes, 8, Math.min(size, 256)).match(/[^]{4}/g) ?? [];
  return brands.some((brand, index) => index !== 1 && (brand === 'avif' || brand === 'avis'));
}

function pngHeader(bytes: Uint8Array): ImageHeader | undefined {
  if (bytes.length < 33 || latin1(bytes, 12, 16) !== 'IHDR') return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const channels = [1, 0, 3, 3, 2, 0, 4][bytes[25]!] ?? 0;
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  if (channels === 0 || width === 0 || height === 0) return undefined;
  return { format: 'png', width, height, channels, depth: bytes[24]! };
}
