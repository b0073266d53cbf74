import type { SchemaElement } from './footer.js';
import { cursorOf, readDeltas, readHybrid, type PageCursor } from './hybrid.js';

/** Values of a column, in order, without those that are null. */
export type Values = ArrayLike<unknown>;

const types = { boolean: 0, int32: 1, int64: 2, float: 4, double: 5, bytes: 6, fixed: 7 } as const;
export const encodings = {
  plain: 0,
  plainDictionary: 2,
  rle: 3,
  deltaBinary: 5,
  deltaLength: 6,
  deltaBytes: 7,
  rleDictionary: 8,
} as const;

/** Reads what a page holds behind its levels. */
export interface ValueReader {
  readonly element: SchemaElement;
  readonly dictionary: Values | undefined;
  /** Bytes that values may take which are not in the page as they are (DELTA_BYTE_ARRAY). */
  readonly most: number;
}

/** `count` values in one of parquet's encodings. Throws a RangeError where the page is damaged, or the encoding unknown. */
export function readValues(bytes: Uint8Array, encoding: number, count: number, reader: ValueReader): Values {
  const { element, dictionary } = reader;
  const cursor = cursorOf(bytes);
  // Each value of the other encodings takes a bit at least.
  switch (encoding) {
    case encodings.plain:
      return plainValues(cursor, count, element);
    case encodings.plainDictionary:
    case encodings.rleDictionary: {
      if (dictionary === undefined) throw new RangeError('a page refers to a dictionary that is not there');
      const indices = count === 0 ? [] : readHybrid(cursor, cursor.view.getUint8(cursor.at++), count);
      return Array.from(indices, (index) => {
        if (index >= dictionary.length) throw new RangeError(`entry ${index} of a dictionary of ${dictionary.length}`);
        return dictionary[index];
      });
    }
    case encodings.rle:
      if (element.type !== types.boolean) break;
      cursor.at += 4;
      return Array.from(readHybrid(cursor, 1, count), (bit) => bit === 1);
    case encodings.deltaBinary:
      if (element.type === types.int32) return Array.from(readDeltas(cursor, count, 32), Number);
      if (element.type === types.int64) return readDeltas(cursor, count, 64);
      break;
    case encodings.deltaLength: {
      const lengths = readDeltas(cursor, count, 32);
      return Array.from(lengths, (length) => bytesAt(cursor, Number(length)));
    }
    case encodings.deltaBytes:
      return prefixedValues(cursor, count, reader);
  }
  throw new RangeError(`a column has encoding ${encoding}, which is not read`);
}

/** Texts of texts, and unsigned numbers where they are; else as they are. */
export function convert(value: unknown, { isText, isUnsigned }: SchemaElement): unknown {
  if (isText && value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
  if (isUnsigned && typeof value === 'bigint') return BigInt.asUintN(64, value);
  if (isUnsigned && typeof value === 'number') return value >>> 0;
  return value;
}

const widths: Readonly<Record<number, number>> = {
  [types.int32]: 4,
  [types.int64]: 8,
  [types.float]: 4,
  [types.double]: 8,
};

function plainValues(cursor: PageCursor, count: number, { type, type_length: length }: SchemaElement): Values {
  const { view } = cursor;
  const left = view.byteLength - cursor.at;
  const width =
    type === types.bytes ? 4 : type === types.fixed ? length : type === types.boolean ? 1 / 8 : widths[type!];
  if (width === undefined) throw new RangeError(`a column has type ${type}, which is not read`);
  if (count * width > left) throw new RangeError(`a page has ${left} bytes for ${count} values`);
  const start = cursor.at;
  const each = (value: (at: number, index: number) => unknown): unknown[] =>
    Array.from({ length: count }, (_, index) => value(start + index * width, index));
  switch (type) {
    case types.bytes:
      return each(() => {
        cursor.at += 4;
        return bytesAt(cursor, view.getUint32(cursor.at - 4, true));
      });
    case types.fixed:
      return each(() => bytesAt(cursor, length));
    case types.boolean:
      return each((_, index) => ((view.getUint8(start + (index >> 3)) >> (index & 7)) & 1) === 1);
    case types.int32:
      return each((at) => view.getInt32(at, true));
    case types.int64:
      return each((at) => view.getBigInt64(at, true));
    case types.float:
      return each((at) => view.getFloat32(at, true));
    default:
      return each((at) => view.getFloat64(at, true));
  }
}

/** Every value begins as the one before: with how many bytes of it, and what follows. */
function prefixedValues(cursor: PageCursor, count: number, { most }: ValueReader): Values {
  const prefixes = readDeltas(cursor, count, 32);
  const lengths = readDeltas(cursor, count, 32);
  let previous: Uint8Array = new Uint8Array(0);
  let total = 0;
  return Array.from(prefixes, (size, index) => {
    const prefix = Number(size);
    const suffix = bytesAt(cursor, Number(lengths[index]!));
    if (prefix < 0 || prefix > previous.length) throw new RangeError('a value begins with more than the one before');
    total += prefix;
    if (total > most) throw new RangeError(`values expand to more than ${most} bytes`);
    previous = prefix === 0 ? suffix : Buffer.concat([previous.subarray(0, prefix), suffix]);
    return previous;
  });
}

function bytesAt(cursor: PageCursor, length: number): Uint8Array {
  const { buffer, byteOffset, byteLength } = cursor.view;
  if (length < 0 || length > byteLength - cursor.at) {
    throw new RangeError(`a value of ${length} bytes where ${byteLength - cursor.at} are left`);
  }
  cursor.at += length;
  return new Uint8Array(buffer, byteOffset + cursor.at - length, length);
}
