import { LowrankError } from '../errors.js';
import type { ImageHeader } from './image-header.js';
import type { Pixels } from './pixels.js';

interface Bitmap {
  readonly width: number;
  readonly height: number;
  readonly isTopDown: boolean;
  readonly bits: number;
  readonly dataAt: number;
  /** Three bytes a colour, red first; undefined from 16 bits on. */
  readonly palette: Uint8Array | undefined;
  /** Bits of red, green and blue from 16 bits on. */
  readonly masks: readonly [number, number, number];
}

const fileHeader = 14;
/** OS/2 1 and 2, Windows 3 with its masks, 4 and 5. */
const headerSizes = new Set([12, 40, 52, 56, 64, 108, 124]);
const compressions = ['none', 'RLE8', 'RLE4', 'bit fields', 'JPEG', 'PNG'];
const [none, bitFields] = [0, 3];

/** Windows and OS/2 bitmaps of 1, 4, 8, 16, 24 and 32 bits that are not compressed. Throws FORMAT for all others. */
export function bmpHeader(bytes: Uint8Array): ImageHeader {
  const { width, height, bits } = parse(bytes);
  return { format: 'bmp', width, height, channels: 3, depth: bits > 8 ? 8 : bits };
}

/** Whatever a fourth channel holds is dropped; colours of fewer bits are scaled to 255, cut to whole numbers. */
export function decodeBmp(bytes: Uint8Array): Pixels {
  const { width, height, isTopDown, bits, dataAt, palette, masks } = parse(bytes);
  const stride = Math.ceil((width * bits) / 32) * 4;
  // Rows are filled up to four bytes; the last one need not be.
  const size = stride * (height - 1) + Math.ceil((width * bits) / 8);
  const missing = dataAt + size - bytes.length;
  if (missing > 0) throw bad(`the file is cut: ${missing} of ${size} bytes of pixels are missing`);
  const data = new Uint8Array(width * height * 3);
  const row =
    palette !== undefined
      ? paletteRow(bytes, bits, palette)
      : bits === 24
        ? plainRow(bytes)
        : maskedRow(bytes, bits, masks);
  for (let y = 0; y < height; y++) {
    const start = dataAt + (isTopDown ? y : height - 1 - y) * stride;
    row(start, data.subarray(y * width * 3, (y + 1) * width * 3));
  }
  return { data, width, height };
}

type Row = (start: number, target: Uint8Array) => void;

function paletteRow(bytes: Uint8Array, bits: number, palette: Uint8Array): Row {
  const perByte = 8 / bits;
  const mask = (1 << bits) - 1;
  return (start, target) => {
    for (let x = 0; 3 * x < target.length; x++) {
      const shift = 8 - bits * ((x % perByte) + 1);
      const colour = 3 * ((bytes[start + Math.floor(x / perByte)]! >> shift) & mask);
      target[3 * x] = palette[colour]!;
      target[3 * x + 1] = palette[colour + 1]!;
      target[3 * x + 2] = palette[colour + 2]!;
    }
  };
}

function plainRow(bytes: Uint8Array): Row {
  return (start, target) => {
    for (let at = 0; at < target.length; at += 3) {
      target[at] = bytes[start + at + 2]!;
      target[at + 1] = bytes[start + at + 1]!;
      target[at + 2] = bytes[start + at]!;
    }
  };
}

function maskedRow(bytes: Uint8Array, bits: number, masks: Bitmap['masks']): Row {
  const size = bits / 8;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const channels = masks.map((mask) => {
    const shift = mask === 0 ? 0 : 31 - Math.clz32(mask & -mask);
    return { mask, shift, most: mask >>> shift };
  });
  return (start, target) => {
    for (let x = 0, at = start; 3 * x < target.length; x++, at += size) {
      const word = size === 2 ? view.getUint16(at, true) : view.getUint32(at, true);
      for (let channel = 0; channel < 3; channel++) {
        const { mask, shift, most } = channels[channel]!;
        target[3 * x + channel] = most === 0 ? 0 : Math.floor((((word & mask) >>> shift) * 255) / most);
      }
    }
  };
}

function parse(bytes: Uint8Array): Bitmap {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < fileHeader + 4) throw bad('the file is cut inside its header');
  const headerSize = view.getUint32(fileHeader, true);
  if (!headerSizes.has(headerSize)) throw bad(`a BMP whose header has ${headerSize} bytes`);
  if (bytes.length < fileHeader + headerSize) throw bad('the file is cut inside its header');
  const isOld = headerSize === 12;
  const at = (offset: number): number => fileHeader + offset;
  const width = isOld ? view.getUint16(at(4), true) : view.getInt32(at(4), true);
  const signedHeight = isOld ? view.getUint16(at(6), true) : view.getInt32(at(8), true);
  const bits = view.getUint16(at(isOld ? 10 : 14), true);
  const compression = isOld ? none : view.getUint32(at(16), true);
  const height = Math.abs(signedHeight);
  if (width <= 0 || height === 0) throw bad(`${width}x${signedHeight} pixels`);
  if (compression !== none && compression !== bitFields) {
    throw bad(
      `a compressed BMP (${compressions[compression] ?? `kind ${compression}`}), which is not read; save it as PNG`,
    );
  }
  if (![1, 4, 8, 16, 24, 32].includes(bits)) throw bad(`a BMP of ${bits} bits a pixel`);
  const hasMasks = compression === bitFields && (bits === 16 || bits === 32);
  if (compression === bitFields && bits <= 8) throw bad(`a BMP of ${bits} bits a pixel with bit fields`);
  // A header of 40 bytes has the masks behind it.
  const headerEnd = at(headerSize) + (hasMasks && headerSize === 40 ? 12 : 0);
  if (bytes.length < headerEnd) throw bad('the file is cut inside its header');
  const colours = bits > 8 ? undefined : paletteOf(bytes, view, headerEnd, bits, isOld);
  const dataAt = view.getUint32(10, true) || headerEnd + (colours?.size ?? 0);
  if (dataAt < headerEnd) throw bad(`the pixels of the BMP begin at byte ${dataAt}, inside its header`);
  return {
    width,
    height,
    isTopDown: signedHeight < 0,
    bits,
    dataAt,
    palette: colours?.palette,
    masks: hasMasks ? masksAt(view, at(40)) : bits === 16 ? [0x7c00, 0x3e0, 0x1f] : [0xff0000, 0xff00, 0xff],
  };
}

function masksAt(view: DataView, start: number): Bitmap['masks'] {
  const masks = [
    view.getUint32(start, true),
    view.getUint32(start + 4, true),
    view.getUint32(start + 8, true),
  ] as const;
  // Some writers leave them out where they mean the usual ones.
  return masks.every((mask) => mask === 0) ? [0xff0000, 0xff00, 0xff] : masks;
}

/** All colours that `bits` can name: those that the file does not list are black. */
function paletteOf(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  bits: number,
  isOld: boolean,
): { readonly palette: Uint8Array; readonly size: number } {
  const listed = isOld ? 0 : view.getUint32(fileHeader + 32, true);
  const count = listed === 0 || listed > 1 << bits ? 1 << bits : listed;
  const width = isOld ? 3 : 4;
  const palette = new Uint8Array(3 << bits);
  for (let colour = 0; colour < count; colour++) {
    const from = start + colour * width;
    if (from + 3 > bytes.length) throw bad('the file is cut inside its palette');
    palette.set([bytes[from + 2]!, bytes[from + 1]!, bytes[from]!], 3 * colour);
  }
  return { palette, size: count * width };
}

function bad(fact: string): LowrankError {
  return new LowrankError('FORMAT', fact);
}
