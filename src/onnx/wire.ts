import { LowrankError } from '../errors.js';
import { type Chunk, gather, totalLength } from '../files/chunk.js';
import type { ByteRange, ByteSource } from '../files/source.js';

/** One field of a protobuf message on the wire: [start, end) with its tag, [payload, end) without. */
export interface WireField {
  readonly number: number;
  /** 0 varint, 1 eight bytes, 2 length-delimited, 3 a group (its payload ends with the closing tag), 5 four bytes. */
  readonly wireType: number;
  readonly start: number;
  readonly payload: number;
  readonly end: number;
}

/** Nesting of messages and groups that protobuf's own readers accept. */
export const deepestNesting = 100;
/** Bytes looked at together: fields are small, and a read for each number would dominate. */
const windowSize = 4096;
const longestVarint = 10;

/** Reads numbers of a range one behind the other. */
class Cursor {
  position: number;
  readonly #source: ByteSource;
  readonly #end: number;
  #window: Uint8Array = new Uint8Array();
  #windowStart = 0;

  constructor({ source, start, end }: ByteRange) {
    this.#source = source;
    this.#end = end;
    this.position = start;
  }

  /** The varint at the position, which moves behind it. Exact below 2^53, larger above it. */
  varint(): number {
    const { position } = this;
    const wanted = Math.min(longestVarint, this.#end - position);
    let at = position - this.#windowStart;
    if (at < 0 || at + wanted > this.#window.length) {
      this.#window = this.#source.read(position, Math.min(position + windowSize, this.#end));
      this.#windowStart = position;
      at = 0;
    }
    let value = 0;
    let scale = 1;
    for (let i = 0; i < wanted; i++) {
      const byte = this.#window[at + i]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.position = position + i + 1;
        return value;
      }
      scale *= 128;
    }
    const what = wanted === longestVarint ? 'a number of more than ten bytes' : 'a number is cut short';
    throw malformed(this.#source, position, what);
  }
}

/** The number that a varint field holds: exact below 2^53, larger above it. */
export function readVarint(range: ByteRange): number {
  return new Cursor(range).varint();
}

/**
 * Walks the fields of a message without reading their payloads, so a length prefix is never trusted with an
 * allocation. Throws FORMAT at the first byte that is not protobuf.
 */
export function* fields(range: ByteRange): Generator<WireField> {
  const cursor = new Cursor(range);
  while (cursor.position < range.end) {
    const start = cursor.position;
    const { number, wireType } = readTag(cursor, range.source);
    if (wireType === 4) throw malformed(range.source, start, 'the end of a group that was not begun');
    const payload = skip(cursor, number, wireType, range);
    if (wireType === 3) skipGroup(cursor, number, range);
    yield { number, wireType, start, payload, end: cursor.position };
  }
}

function readTag(cursor: Cursor, source: ByteSource): { number: number; wireType: number } {
  const start = cursor.position;
  const tag = cursor.varint();
  const number = Math.floor(tag / 8);
  const wireType = tag % 8;
  if (number === 0 || number > 0x1fffffff) throw malformed(source, start, `field number ${number}`);
  if (wireType > 5) throw malformed(source, start, `wire type ${wireType}`);
  return { number, wireType };
}

/** Moves behind the payload of a field, groups excepted, and returns where the payload begins. */
function skip(cursor: Cursor, number: number, wireType: number, { source, end }: ByteRange): number {
  const start = cursor.position;
  const length = wireType === 2 ? cursor.varint() : wireType === 1 ? 8 : wireType === 5 ? 4 : 0;
  const payload = cursor.position;
  if (wireType === 0) cursor.varint();
  else if (length > end - payload) {
    const claim = `field ${number} claims ${length} bytes where ${end - payload} are left`;
    throw malformed(source, start, claim);
  } else cursor.position = payload + length;
  return payload;
}

/** Moves behind the closing tag of a group. Known ONNX fields are never groups; unknown ones are kept. */
function skipGroup(cursor: Cursor, opened: number, range: ByteRange): void {
  const open = [opened];
  while (open.length > 0) {
    const start = cursor.position;
    const { number, wireType } = readTag(cursor, range.source);
    if (wireType === 3) {
      open.push(number);
      if (open.length > deepestNesting) throw malformed(range.source, start, 'groups nested too deep');
    } else if (wireType === 4) {
      if (open.pop() !== number) throw malformed(range.source, start, 'the end of another group');
    } else skip(cursor, number, wireType, range);
  }
}

function malformed(source: ByteSource, position: number, what: string): LowrankError {
  return new LowrankError('FORMAT', `not an ONNX file: ${what} at byte ${position}`, {
    place: source.label,
    remedy: 'check that this is an .onnx file and that it is complete',
  });
}

/** Bytes of a varint. */
export function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

/** A length-delimited field around the chunks of its payload. */
export function delimited(number: number, payload: readonly Chunk[]): Chunk[] {
  return [varint(number * 8 + 2), varint(totalLength(payload)), ...payload];
}

/** A varint field. */
export function numeric(number: number, value: number): Uint8Array {
  return Buffer.concat([varint(number * 8), varint(value)]);
}

/** A field of text. */
export function text(number: number, value: string): Uint8Array {
  return gather(delimited(number, [Buffer.from(value, 'utf8')]));
}
