import { LowrankError } from '../errors.js';
import type { ByteRange } from '../files/source.js';
import { fields, type WireField } from './wire.js';

/** How the elements of a repeated numeric field lie on the wire. */
export type ElementForm = 'varint' | 'fixed32' | 'fixed64';

const wireTypes = { varint: 0, fixed32: 5, fixed64: 1 } as const;
const fixedWidths = { fixed32: 4, fixed64: 8 } as const;
/** Packed varints are read in pieces, so that counting them takes no memory. */
const pieceSize = 1 << 20;
const longestVarint = 10;

/**
 * Elements of a repeated field, packed, unpacked or both (protobuf allows any mixture), without keeping one of them.
 * Throws FORMAT where a packed field does not end with an element.
 */
export function countElements(message: ByteRange, number: number, form: ElementForm): number {
  let count = 0;
  for (const field of occurrences(message, number, form)) {
    if (field.wireType !== 2) count++;
    else if (form !== 'varint') count += packedFixed(message, field, fixedWidths[form]);
    else count += packedVarints(message, field);
  }
  return count;
}

/**
 * The elements as little-endian numbers of `width` bytes, in order: varints are cut to their lower bytes, as protobuf
 * cuts them; fixed elements keep their own width. `count` is what `countElements` said.
 */
export function readElements(
  message: ByteRange,
  number: number,
  form: ElementForm,
  width: 1 | 2 | 4 | 8,
  count: number,
): Uint8Array {
  const bytes = new Uint8Array(count * width);
  let at = 0;
  const decoder = varintDecoder(bytes, width);
  for (const field of occurrences(message, number, form)) {
    if (form === 'varint') for (const piece of pieces(message, field)) decoder(piece);
    else {
      message.source.readInto(bytes.subarray(at, at + field.end - field.payload), field.payload);
      at += field.end - field.payload;
    }
  }
  return bytes;
}

/** Where the elements lie as they are: a fixed-width field that is packed in one piece. */
export function packedRange(message: ByteRange, number: number, form: ElementForm): ByteRange | undefined {
  if (form === 'varint') return undefined;
  let found: ByteRange | undefined;
  for (const field of occurrences(message, number, form)) {
    if (found !== undefined || field.wireType !== 2) return undefined;
    found = { source: message.source, start: field.payload, end: field.end };
  }
  return found;
}

function* occurrences(message: ByteRange, number: number, form: ElementForm): Generator<WireField> {
  const single = wireTypes[form];
  for (const field of fields(message)) {
    if (field.number === number && (field.wireType === 2 || field.wireType === single)) yield field;
  }
}

function packedFixed(message: ByteRange, field: WireField, width: number): number {
  const count = (field.end - field.payload) / width;
  if (Number.isInteger(count)) return count;
  throw torn(message, field);
}

function packedVarints(message: ByteRange, field: WireField): number {
  let count = 0;
  let length = 0;
  for (const piece of pieces(message, field)) {
    for (let i = 0; i < piece.length; i++) {
      length++;
      if (piece[i]! < 0x80) {
        count++;
        length = 0;
      } else if (length === longestVarint) throw torn(message, field);
    }
  }
  if (length > 0) throw torn(message, field);
  return count;
}

function* pieces({ source }: ByteRange, { payload, end }: WireField): Generator<Uint8Array> {
  for (let at = payload; at < end; at += pieceSize) yield source.read(at, Math.min(at + pieceSize, end));
}

/** Takes pieces one behind the other; a number may begin in one and end in the next. */
function varintDecoder(bytes: Uint8Array, width: 1 | 2 | 4 | 8): (piece: Uint8Array) => void {
  const view = new DataView(bytes.buffer);
  let at = 0;
  let low = 0;
  let high = 0;
  let taken = 0;
  const store = (): void => {
    if (width === 8) {
      view.setUint32(at, low >>> 0, true);
      view.setUint32(at + 4, high >>> 0, true);
    } else if (width === 4) view.setUint32(at, low >>> 0, true);
    else if (width === 2) view.setUint16(at, low & 0xffff, true);
    else view.setUint8(at, low & 0xff);
    at += width;
  };
  return (piece) => {
    for (let i = 0; i < piece.length; i++) {
      const byte = piece[i]!;
      const bits = byte & 0x7f;
      // Groups of seven bits: four fill the lower word but four bits, the fifth is shared.
      if (taken < 4) low |= bits << (7 * taken);
      else if (taken === 4) {
        low |= bits << 28;
        high = bits >> 4;
      } else if (taken < longestVarint) high |= bits << (7 * taken - 32);
      taken++;
      if (byte >= 0x80) continue;
      store();
      low = 0;
      high = 0;
      taken = 0;
    }
  };
}

function torn({ source }: ByteRange, field: WireField): LowrankError {
  return new LowrankError('FORMAT', `the numbers of field ${field.number} at byte ${field.start} are cut short`, {
    place: source.label,
    remedy: 'the file is damaged: export it again',
  });
}

/** Signed 64-bit integers of a repeated field as numbers: rounded beyond 2^53. */
export function readIntegers(message: ByteRange, number: number): number[] {
  const bytes = readElements(message, number, 'varint', 8, countElements(message, number, 'varint'));
  return Array.from(new BigInt64Array(bytes.buffer), Number);
}

export function readFloats(message: ByteRange, number: number): number[] {
  const bytes = readElements(message, number, 'fixed32', 4, countElements(message, number, 'fixed32'));
  return Array.from(new Float32Array(bytes.buffer));
}
