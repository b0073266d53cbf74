import { LowrankError } from '../errors.js';
import type { ImageFormat, ImageHeader } from './image-header.js';
import type { Pixels } from './pixels.js';

/** One of the six formats of Netpbm, by the digit behind the P. */
interface Kind {
  readonly format: Extract<ImageFormat, 'pbm' | 'pgm' | 'ppm'>;
  readonly channels: 1 | 3;
  /** Digits, not bytes. */
  readonly isPlain: boolean;
}

const kinds: Readonly<Record<string, Kind>> = {
  1: { format: 'pbm', channels: 1, isPlain: true },
  2: { format: 'pgm', channels: 1, isPlain: true },
  3: { format: 'ppm', channels: 3, isPlain: true },
  4: { format: 'pbm', channels: 1, isPlain: false },
  5: { format: 'pgm', channels: 1, isPlain: false },
  6: { format: 'ppm', channels: 3, isPlain: false },
};

interface Netpbm extends Kind {
  readonly width: number;
  readonly height: number;
  /** The largest value: white. 1 for PBM, where 1 is black. */
  readonly most: number;
  readonly dataAt: number;
}

const longestNumber = 10;

/** PPM, PGM or PBM; of a file with several images, the first. Throws FORMAT where the header is damaged. */
export function pnmHeader(bytes: Uint8Array): ImageHeader {
  const { format, width, height, channels, most } = parse(bytes);
  return { format, width, height, channels, depth: most > 255 ? 16 : most > 1 ? 8 : 1 };
}

/** Scaled to 255, rounded as Pillow rounds; grey is repeated. Throws FORMAT where numbers are missing or too large. */
export function decodePnm(bytes: Uint8Array): Pixels {
  const image = parse(bytes);
  const { width, height, channels, most, isPlain, format, dataAt } = image;
  const count = width * height * channels;
  if (!isPlain && channels === 3 && most === 255) {
    checkLength(bytes, dataAt, count);
    return { data: bytes.subarray(dataAt, dataAt + count), width, height };
  }
  if (isPlain && bytes.length - dataAt < count) throw cut(count - (bytes.length - dataAt), count, 'numbers');
  const levels = Uint8Array.from({ length: most + 1 }, (_, value) =>
    format === 'pbm' ? 255 * (1 - value) : roundEven((value / most) * 255),
  );
  const data = new Uint8Array(width * height * 3);
  const put =
    channels === 3
      ? (index: number, value: number): void => {
          data[index] = value;
        }
      : (index: number, value: number): void => {
          data[3 * index] = value;
          data[3 * index + 1] = value;
          data[3 * index + 2] = value;
        };
  if (isPlain) plain(bytes, image, count, (index, value) => put(index, levels[value]!));
  else raw(bytes, image, count, (index, value) => put(index, levels[Math.min(value, most)]!));
  return { data, width, height };
}

/** The width of a row of PBM is rounded up to a byte; numbers above 255 take two bytes, the higher one first. */
function raw(bytes: Uint8Array, image: Netpbm, count: number, put: (index: number, value: number) => void): void {
  const { format, width, height, most, dataAt } = image;
  if (format === 'pbm') {
    const stride = Math.ceil(width / 8);
    checkLength(bytes, dataAt, stride * height);
    for (let y = 0, index = 0; y < height; y++) {
      const row = dataAt + y * stride;
      for (let x = 0; x < width; x++, index++) put(index, (bytes[row + (x >> 3)]! >> (7 - (x & 7))) & 1);
    }
    return;
  }
  const size = most > 255 ? 2 : 1;
  checkLength(bytes, dataAt, count * size);
  for (let index = 0, at = dataAt; index < count; index++, at += size) {
    put(index, size === 1 ? bytes[at]! : (bytes[at]! << 8) | bytes[at + 1]!);
  }
}

/** Numbers between white space and comments; the digits of PBM may stand without any between them. */
function plain(
  bytes: Uint8Array,
  { format, most, dataAt }: Netpbm,
  count: number,
  put: (index: number, value: number) => void,
): void {
  let at = dataAt;
  for (let index = 0; index < count; index++) {
    const token = format === 'pbm' ? digitAt(bytes, at) : numberAt(bytes, at);
    if (token === undefined) throw cut(count - index, count, 'numbers');
    if (token.value > most) throw bad(`number ${token.value} at byte ${token.end - 1}, where ${most} is the largest`);
    put(index, token.value);
    at = token.end;
  }
}

function parse(bytes: Uint8Array): Netpbm {
  const kind = kinds[String.fromCharCode(bytes[1]!)]!;
  if (!isSpace(bytes[2]) && bytes[2] !== 0x23) throw bad('the header of the PNM is damaged');
  let at = 2;
  const next = (what: string): number => {
    const token = numberAt(bytes, at);
    if (token === undefined) throw bad(`the header of the PNM ends before its ${what}`);
    at = token.end;
    return token.value;
  };
  const [width, height] = [next('width'), next('height')];
  const most = kind.format === 'pbm' ? 1 : next('largest value');
  if (width === 0 || height === 0) throw bad(`${width}x${height} pixels`);
  if (most === 0 || most > 65_535) throw bad(`${most} as the largest value, which is from 1 to 65535`);
  // One white space ends the header.
  return { ...kind, width, height, most, dataAt: at + 1 };
}

interface Token {
  readonly value: number;
  /** Behind its last digit. */
  readonly end: number;
}

/** The next number; comments from # to the end of the line may stand anywhere. undefined at the end of the bytes. */
function numberAt(bytes: Uint8Array, from: number): Token | undefined {
  let [value, digits, at] = [0, 0, from];
  for (; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === 0x23) {
      at = endOfLine(bytes, at);
    } else if (byte >= 0x30 && byte <= 0x39) {
      value = value * 10 + byte - 0x30;
      digits += 1;
      if (digits > longestNumber) throw bad(`a number of more than ${longestNumber} digits at byte ${from}`);
    } else if (!isSpace(byte)) throw bad(`byte ${byte} at ${at}, where a number is expected`);
    else if (digits > 0) break;
  }
  return digits === 0 ? undefined : { value, end: at };
}

function digitAt(bytes: Uint8Array, from: number): Token | undefined {
  for (let at = from; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === 0x30 || byte === 0x31) return { value: byte - 0x30, end: at + 1 };
    if (byte === 0x23) at = endOfLine(bytes, at);
    else if (!isSpace(byte)) throw bad(`byte ${byte} at ${at}, where 0 or 1 is expected`);
  }
  return undefined;
}

function endOfLine(bytes: Uint8Array, from: number): number {
  let at = from;
  while (at < bytes.length && bytes[at] !== 0x0a && bytes[at] !== 0x0d) at += 1;
  return at;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);
}

/** To the nearest whole number, halves to the even one. */
function roundEven(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  return rest < 0.5 || (rest === 0.5 && down % 2 === 0) ? down : down + 1;
}

function checkLength(bytes: Uint8Array, start: number, size: number): void {
  const missing = start + size - bytes.length;
  if (missing > 0) throw cut(missing, size, 'bytes of pixels');
}

function cut(missing: number, of: number, what: string): LowrankError {
  return bad(`the file is cut: ${missing} of ${of} ${what} are missing`);
}

function bad(fact: string): LowrankError {
  return new LowrankError('FORMAT', fact);
}
