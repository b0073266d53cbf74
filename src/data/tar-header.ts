import type { LowrankError } from '../errors.js';

/** Bytes of a header, and what data are filled up to. */
export const blockSize = 512;

/** Whether the header states the sum of its bytes, that field taken as spaces. Old tars summed signed bytes. */
export function isHeader(header: Uint8Array): boolean {
  if (header.length < blockSize) return false;
  const expected = numberAt(header, 148, 8);
  let unsigned = 0;
  let signed = 0;
  for (let index = 0; index < blockSize; index++) {
    const value = index >= 148 && index < 156 ? 32 : header[index]!;
    unsigned += value;
    signed += value > 127 ? value - 256 : value;
  }
  return expected === unsigned || expected === signed;
}

/** Octal digits, or with the first bit set a big-endian binary number (GNU). */
export function numberAt(header: Uint8Array, at: number, length: number): number {
  if ((header[at]! & 0x80) !== 0) {
    let value = header[at]! & 0x7f;
    for (let index = 1; index < length; index++) value = value * 256 + header[at + index]!;
    return value;
  }
  const digits = untilZero(header.subarray(at, at + length)).trim();
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits === '' ? '0' : digits, 8) : Number.NaN;
}

export function untilZero(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('utf8');
}

export function nameOf(header: Uint8Array): string {
  const name = untilZero(header.subarray(0, 100));
  // GNU's own format ("ustar" and two spaces) keeps other things where POSIX has the prefix.
  const isPosix = Buffer.from(header.subarray(257, 263)).toString('latin1') === 'ustar\0';
  const prefix = isPosix ? untilZero(header.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

export interface PaxRecords {
  readonly path?: string;
  readonly linkpath?: string;
  readonly size?: number;
  readonly isSparse?: boolean;
}

/** Records "length key=value\n". */
export function paxRecords(body: Buffer, fail: () => LowrankError): PaxRecords {
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
  const linkpath = records.get('linkpath');
  const size = records.get('size');
  return {
    ...(path === undefined ? {} : { path }),
    ...(linkpath === undefined ? {} : { linkpath }),
    ...(size === undefined ? {} : { size: Number(size) }),
    isSparse: [...records.keys()].some((key) => key.startsWith('GNU.sparse.')),
  };
}
