/** A value of Thrift's compact protocol; integers beyond 2^53 are rounded. */
export type ThriftValue = boolean | number | Uint8Array | readonly ThriftValue[] | ThriftStruct;
/** Fields by their numbers. */
export type ThriftStruct = ReadonlyMap<number, ThriftValue>;

const [yes, no, byte, i16, i32, i64, double, binary, list, set, struct] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12];
/** Parquet's own metadata has six levels. */
const deepest = 32;
const longestVarint = 10;

interface Cursor {
  readonly view: DataView;
  at: number;
  /** Values that may still be read. */
  left: number;
}

/**
 * The structure of Thrift's compact protocol that begins at `start`, and where it ends. A length is believed only where so
 * many bytes follow; throws a RangeError where they do not, and for more than `most` values or 32 levels.
 */
export function readStruct(
  bytes: Uint8Array,
  start: number,
  most: number,
): { readonly value: ThriftStruct; readonly end: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const cursor: Cursor = { view, at: start, left: most };
  const value = structAt(cursor, 0);
  return { value, end: cursor.at };
}

function structAt(cursor: Cursor, depth: number): ThriftStruct {
  if (depth > deepest) throw new RangeError(`its metadata is nested deeper than ${deepest} levels`);
  const fields = new Map<number, ThriftValue>();
  for (let number = 0; ;) {
    const head = cursor.view.getUint8(cursor.at++);
    const type = head & 15;
    if (type === 0) return fields;
    number = head >> 4 === 0 ? zigzag(cursor) : number + (head >> 4);
    fields.set(number, type === yes ? true : type === no ? false : valueAt(cursor, type, depth));
  }
}

function valueAt(cursor: Cursor, type: number, depth: number): ThriftValue {
  cursor.left -= 1;
  if (cursor.left < 0) throw new RangeError('its metadata has more values than its size explains');
  switch (type) {
    case yes:
    case no:
      return cursor.view.getUint8(cursor.at++) === 1;
    case byte:
      return cursor.view.getInt8(cursor.at++);
    case i16:
    case i32:
    case i64:
      return zigzag(cursor);
    case double:
      cursor.at += 8;
      return cursor.view.getFloat64(cursor.at - 8, true);
    case binary: {
      const length = lengthAt(cursor);
      const { buffer, byteOffset } = cursor.view;
      cursor.at += length;
      return new Uint8Array(buffer, byteOffset + cursor.at - length, length);
    }
    case list:
    case set: {
      const head = cursor.view.getUint8(cursor.at++);
      const length = head >> 4 === 15 ? lengthAt(cursor) : head >> 4;
      const values: ThriftValue[] = [];
      while (values.length < length) values.push(valueAt(cursor, head & 15, depth + 1));
      return values;
    }
    case struct:
      return structAt(cursor, depth + 1);
    default:
      throw new RangeError(`its metadata has a value of type ${type}`);
  }
}

/** Of bytes, or of elements, each of which takes at least one. */
function lengthAt(cursor: Cursor): number {
  const length = Number(varint(cursor));
  const left = cursor.view.byteLength - cursor.at;
  if (length > left) throw new RangeError(`its metadata claims ${length} bytes where ${left} are left`);
  return length;
}

function varint(cursor: Cursor): bigint | number {
  let value = 0;
  for (let taken = 0; taken < longestVarint; taken++) {
    const next = cursor.view.getUint8(cursor.at++);
    value += (next & 127) * 2 ** (7 * taken);
    if (next < 128) return Number.isSafeInteger(value) ? value : exact(cursor, taken + 1);
  }
  throw new RangeError(`its metadata has a number of more than ${longestVarint} bytes`);
}

function exact(cursor: Cursor, length: number): bigint {
  let value = 0n;
  for (let i = 0; i < length; i++) {
    value |= BigInt(cursor.view.getUint8(cursor.at - length + i) & 127) << BigInt(7 * i);
  }
  return BigInt.asUintN(64, value);
}

function zigzag(cursor: Cursor): number {
  const value = varint(cursor);
  if (typeof value === 'number') return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  return Number(BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n)));
}
