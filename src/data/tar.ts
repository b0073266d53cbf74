import { LowrankError } from '../errors.js';
import type { OpenFile } from './files.js';

/** A regular file in a tar. Its name is data: nothing is ever written to it, nor read from it. */
export interface TarEntry {
  readonly name: string;
  /** Of its bytes, in the file that holds the tar. */
  readonly offset: number;
  readonly size: number;
}

const blockSize = 512;

/** The part of a file that is a tar. */
interface TarRange {
  readonly start: number;
  readonly end: number;
  /** For errors: the tar itself, and where it is a member of another one, its name there. */
  readonly place: string;
}

/** The whole file as a tar. */
export function wholeTar(file: OpenFile): TarRange {
  return { start: 0, end: file.size, place: file.path };
}

/** A member that is a tar itself. */
export function nestedTar(entry: TarEntry, place: string): TarRange {
  return { start: entry.offset, end: entry.offset + entry.size, place: `${place}, member '${entry.name}'` };
}

/**
 * The regular files of a tar (POSIX ustar and pax, GNU long names and sizes), in order, by reading its headers alone. Throws
 * FORMAT with the offset where a header is damaged or the tar is cut, UNSUPPORTED where it is compressed.
 */
export function* tarEntries(file: OpenFile, range: TarRange): Generator<TarEntry> {
  const { start, end } = range;
  checkNotCompressed(file, range);
  let at = start;
  let longName: string | undefined;
  let extended: PaxRecords = {};
  while (at < end) {
    const header = file.peek(at, blockSize);
    if (header.length < blockSize || at + blockSize > end) throw cut(range, at, 'inside a header');
    if (isZero(header)) return;
    checkChecksum(header, range, at);
    const type = String.fromCharCode(header[156]!);
    const headerSize = numberAt(header, 124, 12);
    const size = type === 'x' || type === 'g' ? headerSize : (extended.size ?? headerSize);
    const offset = at + blockSize;
    checkExtended(range, at, type, headerSize);
    const name = longName ?? extended.path ?? nameOf(header);
    if (!Number.isSafeInteger(size) || size < 0) throw damaged(range, at, `member '${name}' has no valid size`);
    if (offset + size > end) {
      throw cut(range, offset, `in member '${name}': ${offset + size - end} of its ${size} bytes are missing`);
    }
    if (type === 'L' || type === 'x') {
      const body = Buffer.from(file.peek(offset, size));
      if (type === 'L') longName = untilZero(body);
      else extended = paxRecords(body, () => damaged(range, at, 'an extended header is damaged'));
    } else if (type !== 'K' && type !== 'g') {
      const isFile = type === '0' || type === '\0' || type === '7';
      if (isFile && !name.endsWith('/')) yield { name, offset, size };
      longName = undefined;
      extended = {};
    }
    at = offset + Math.ceil(size / blockSize) * blockSize;
  }
  throw cut(range, end, 'before its end mark, two blocks of zeros');
}

function cut({ place }: TarRange, offset: number, where: string): LowrankError {
  return new LowrankError('FORMAT', `the tar is cut ${where}`, {
    place: `${place}, offset ${offset}`,
    remedy: 'copy or download it again',
  });
}

function damaged({ place }: TarRange, offset: number, fact: string): LowrankError {
  return new LowrankError('FORMAT', fact, { place: `${place}, offset ${offset}`, remedy: 'copy or download it again' });
}

function checkNotCompressed(file: OpenFile, { start, place }: TarRange): void {
  const [a, b, c, d] = file.peek(start, 4);
  const isGzip = a === 0x1f && b === 0x8b;
  const isZstandard = a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd;
  const isOther = (a === 0x42 && b === 0x5a && c === 0x68) || (a === 0xfd && b === 0x37 && c === 0x7a && d === 0x58);
  if (!isGzip && !isZstandard && !isOther) return;
  throw new LowrankError(
    'UNSUPPORTED',
    'the tar is compressed: its members cannot be found without reading all of it',
    {
      place,
      remedy: 'decompress it first; images do not get smaller by it',
    },
  );
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** Names, and what else extended headers say: a name has 4096 bytes at most. */
const largestExtended = 2 ** 20;

/** Headers that say more about the next one are read whole: GNU's long names and links, and those of pax. */
function checkExtended(range: TarRange, at: number, type: string, size: number): void {
  if (!['L', 'K', 'x'].includes(type) || size <= largestExtended) return;
  throw damaged(range, at, `an extended header of ${size} bytes, where ${largestExtended} are the most`);
}

/** The sum of the header's bytes, its own field taken as spaces. Old tars summed signed bytes. */
function checkChecksum(header: Uint8Array, range: TarRange, at: number): void {
  const expected = numberAt(header, 148, 8);
  let unsigned = 0;
  let signed = 0;
  for (const [index, byte] of header.entries()) {
    const value = index >= 148 && index < 156 ? 32 : byte;
    unsigned += value;
    signed += value > 127 ? value - 256 : value;
  }
  if (expected === unsigned || expected === signed) return;
  const isFirst = at === range.start;
  throw damaged(range, at, isFirst ? 'the file is no tar' : 'the header of a member is damaged');
}

/** Octal digits, or with the first bit set a big-endian binary number (GNU). */
function numberAt(header: Uint8Array, at: number, length: number): number {
  if ((header[at]! & 0x80) !== 0) {
    let value = header[at]! & 0x7f;
    for (let index = 1; index < length; index++) value = value * 256 + header[at + index]!;
    return value;
  }
  const digits = untilZero(header.subarray(at, at + length)).trim();
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits === '' ? '0' : digits, 8) : Number.NaN;
}

function untilZero(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('utf8');
}

function nameOf(header: Uint8Array): string {
  const name = untilZero(header.subarray(0, 100));
  // GNU's own format ("ustar" and two spaces) keeps other things where POSIX has the prefix.
  const isPosix = Buffer.from(header.subarray(257, 263)).toString('latin1') === 'ustar\0';
  const prefix = isPosix ? untilZero(header.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

interface PaxRecords {
  readonly path?: string;
  readonly size?: number;
}

/** Records "length key=value\n". */
function paxRecords(body: Buffer, fail: () => LowrankError): PaxRecords {
  const records = new Map<string, string>();
  let at = 0;
  while (at < body.length && body[at] !== 0) {
    const space = body.indexOf(0x20, at);
    const digits = space < 0 || space - at > 9 ? '' : body.toString('latin1', at, space);
    const length = /^\d+$/.test(digits) ? Number(digits) : Number.NaN;
    if (!Number.isSafeInteger(length) || length <= 0 || at + length > body.length) throw fail();
    const equals = body.subarray(0, at + length).indexOf(0x3d, space);
    if (equals < 0) throw fail();
    records.set(body.toString('utf8', space + 1, equals), body.toString('utf8', equals + 1, at + length - 1));
    at += length;
  }
  const path = records.get('path');
  const size = records.get('size');
  return { ...(path === undefined ? {} : { path }), ...(size === undefined ? {} : { size: Number(size) }) };
}

/** The regular files of a tar in memory. */
export function* memoryTar(
  bytes: Uint8Array,
  place: string,
): Generator<{ readonly name: string; readonly data: Uint8Array }> {
  const slice = (offset: number, length: number): Uint8Array => bytes.subarray(offset, offset + length);
  const file = { path: place, size: bytes.length, peek: slice, read: slice, close: () => {} };
  for (const { name, offset, size } of tarEntries(file, wholeTar(file))) yield { name, data: slice(offset, size) };
}
