import { LowrankError } from '../errors.js';
import type { ByteRange, ByteSource } from './source.js';

/** One field of a protobuf message on the wire: [start, end) with its tag, [payload, end) without. */
export interface WireField {
  readonly number: number;
  /** 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes. */
  readonly wireType: number;
  readonly start: number;
  readonly payload: number;
  readonly end: number;
}

/** A varint at `position`: its value and the position behind it. Throws FORMAT where it is cut or longer than ten bytes. */
export function readVarint(source: ByteSource, position: number, end: number): { value: number; next: number } {
  const limit = Math.min(position + 10, end);
  const bytes = source.read(position, limit);
  let value = 0;
  let scale = 1;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return { value, next: position + i + 1 };
    scale *= 128;
  }
  throw malformed(source, position, bytes.length === 10 ? 'a varint of more than ten bytes' : 'a number is cut short');
}

/**
 * Walks the fields of a message without reading their payloads, so a length prefix is never trusted with an
 * allocation. Throws FORMAT at the first byte that is not protobuf.
 */
export function* fields({ source, start, end }: ByteRange): Generator<WireField> {
  let position = start;
  while (position < end) {
    const tag = readVarint(source, position, end);
    const number = Math.floor(tag.value / 8);
    const wireType = tag.value % 8;
    if (number === 0 || number > 0x1fffffff) throw malformed(source, position, `field number ${number}`);
    let payload = tag.next;
    let next: number;
    if (wireType === 0) next = readVarint(source, payload, end).next;
    else if (wireType === 1) next = payload + 8;
    else if (wireType === 5) next = payload + 4;
    else if (wireType === 2) {
      const length = readVarint(source, payload, end);
      payload = length.next;
      next = payload + length.value;
      if (next > end) {
        throw malformed(
          source,
          position,
          `field ${number} claims ${length.value} bytes where ${end - payload} are left`,
        );
      }
    } else throw malformed(source, position, `wire type ${wireType}`);
    if (next > end) throw malformed(source, position, `field ${number} is cut short`);
    yield { number, wireType, start: position, payload, end: next };
    position = next;
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

/** Bytes to be written: in memory, or a range to be copied from where it lies. */
export type Chunk = Uint8Array | ByteRange;

export function chunkLength(chunk: Chunk): number {
  return chunk instanceof Uint8Array ? chunk.length : chunk.end - chunk.start;
}

export function totalLength(chunks: readonly Chunk[]): number {
  let total = 0;
  for (const chunk of chunks) total += chunkLength(chunk);
  return total;
}

/** A length-delimited field around the chunks of its payload. */
export function delimited(number: number, payload: readonly Chunk[]): Chunk[] {
  return [varint(number * 8 + 2), varint(totalLength(payload)), ...payload];
}
