import { LowrankError } from '../errors.js';
import type { ImageHeader } from './image-header.js';
import { expandLzw } from './lzw.js';
import type { Pixels } from './pixels.js';

/** The first frame of a GIF (GIF89a specification), and the canvas that it lies on. */
interface FirstFrame {
  readonly width: number;
  readonly height: number;
  readonly frame: { readonly left: number; readonly top: number; readonly width: number; readonly height: number };
  /** Three bytes for each of 256 colours. */
  readonly palette: Uint8Array;
  /** The colour where the frame does not reach. */
  readonly outside: number;
  readonly isInterlaced: boolean;
  /** The size of the first code, then the blocks of pixels. */
  readonly dataAt: number;
}

/** The canvas is extended to the first frame where that is larger, as in Pillow. Throws FORMAT for a damaged GIF. */
export function gifHeader(bytes: Uint8Array): ImageHeader {
  const { width, height } = parse(bytes);
  return { format: 'gif', width, height, channels: 3, depth: 8 };
}

/**
 * The first frame as Pillow's `convert("RGB")` gives it: transparent pixels have the colour that their index has in the
 * palette, and so has the canvas around the frame (with the transparent index, else with 0). Throws FORMAT where pixels are
 * missing or damaged.
 */
export function decodeGif(bytes: Uint8Array): Pixels {
  const { width, height, frame, palette, outside, isInterlaced, dataAt } = parse(bytes);
  const bits = bytes[dataAt]!;
  if (bits === 0 || bits > 8) throw bad(`a GIF of ${bits} bits a pixel`);
  const indices = expandLzw(joinBlocks(bytes, dataAt + 1), bits, frame.width * frame.height);
  const data = new Uint8Array(width * height * 3);
  const put = (at: number, index: number): void => {
    data[3 * at] = palette[3 * index]!;
    data[3 * at + 1] = palette[3 * index + 1]!;
    data[3 * at + 2] = palette[3 * index + 2]!;
  };
  if (frame.width !== width || frame.height !== height) for (let at = 0; at < width * height; at++) put(at, outside);
  let from = 0;
  for (const { start, step } of isInterlaced ? passes : [{ start: 0, step: 1 }]) {
    for (let y = start; y < frame.height; y += step) {
      const row = (frame.top + y) * width + frame.left;
      for (let x = 0; x < frame.width; x++) put(row + x, indices[from++]!);
    }
  }
  return { data, width, height };
}

/** Which rows an interlaced frame has first. */
const passes = [
  { start: 0, step: 8 },
  { start: 4, step: 8 },
  { start: 2, step: 4 },
  { start: 1, step: 2 },
];

/** The blocks of a row without their lengths, as far as there are any. */
function joinBlocks(bytes: Uint8Array, start: number): Uint8Array {
  const joined = new Uint8Array(bytes.length - start);
  let length = 0;
  for (let at = start; at < bytes.length && bytes[at] !== 0; at += 1 + bytes[at]!) {
    const block = bytes.subarray(at + 1, at + 1 + bytes[at]!);
    joined.set(block, length);
    length += block.length;
  }
  return joined.subarray(0, length);
}

function parse(bytes: Uint8Array): FirstFrame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const need = (end: number): void => {
    if (end > bytes.length) throw bad('the file is cut before the end of its first frame');
  };
  const paletteAt = (flags: number, at: number): { readonly colours: Uint8Array | undefined; readonly end: number } => {
    const end = (flags & 0x80) === 0 ? at : at + (6 << (flags & 7));
    need(end);
    return { colours: end === at ? undefined : bytes.subarray(at, end), end };
  };
  need(13);
  const global = paletteAt(bytes[10]!, 13);
  let at = global.end;
  let transparent: number | undefined;
  for (;;) {
    need(at + 1);
    const kind = bytes[at];
    if (kind === 0x3b) throw bad('the GIF has no frame');
    if (kind === 0x2c) break;
    if (kind === 0x21) {
      need(at + 3);
      if (bytes[at + 1] === 0xf9 && bytes[at + 2]! >= 4) {
        need(at + 7);
        if ((bytes[at + 3]! & 1) === 1) transparent = bytes[at + 6]!;
      }
      at = endOfBlocks(bytes, at + 2);
    } else at += 1;
  }
  need(at + 10);
  const [left, top, width, height] = [1, 3, 5, 7].map((offset) => view.getUint16(at + offset, true)) as [
    number,
    number,
    number,
    number,
  ];
  const flags = bytes[at + 9]!;
  const local = paletteAt(flags, at + 10);
  need(local.end + 1);
  if (width === 0 || height === 0) throw bad(`a first frame of ${width}x${height} pixels`);
  return {
    width: Math.max(view.getUint16(6, true), left + width),
    height: Math.max(view.getUint16(8, true), top + height),
    frame: { left, top, width, height },
    palette: wholePalette(local.colours ?? global.colours),
    outside: transparent ?? 0,
    isInterlaced: (flags & 0x40) !== 0,
    dataAt: local.end,
  };
}

/** Without a palette, the index is a shade of grey. */
function wholePalette(colours: Uint8Array | undefined): Uint8Array {
  const palette = new Uint8Array(768);
  if (colours === undefined) return palette.map((_, at) => Math.floor(at / 3));
  palette.set(colours);
  return palette;
}

/** Behind the empty block that ends a row of blocks, each of which begins with its length. */
function endOfBlocks(bytes: Uint8Array, start: number): number {
  let at = start;
  while (at < bytes.length && bytes[at] !== 0) at += 1 + bytes[at]!;
  return at + 1;
}

function bad(fact: string): LowrankError {
  return new LowrankError('FORMAT', fact);
}
