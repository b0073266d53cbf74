/** A page, and how far it has been read. */
export interface PageCursor {
  readonly view: DataView;
  at: number;
}

export function cursorOf(bytes: Uint8Array): PageCursor {
  return { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), at: 0 };
}

/** An unsigned number of at most ten bytes; rounded beyond 2^53. */
function varintAt(cursor: PageCursor): number {
  let value = 0;
  for (let taken = 0; taken < 10; taken++) {
    const next = cursor.view.getUint8(cursor.at++);
    value += (next & 127) * 2 ** (7 * taken);
    if (next < 128) return value;
  }
  throw new RangeError('a number has more than ten bytes');
}

/**
 * `count` numbers of `width` bits (at most 32) in parquet's hybrid of runs and packed bits, however many a run claims to
 * hold. Throws a RangeError where the page ends before.
 */
export function readHybrid(cursor: PageCursor, width: number, count: number): Uint32Array {
  if (width > 32) throw new RangeError(`numbers of ${width} bits`);
  const values = new Uint32Array(count);
  if (width === 0) return values;
  let done = 0;
  while (done < count) {
    const head = varintAt(cursor);
    if (head % 2 === 0) {
      let value = 0;
      for (let i = 0; i < Math.ceil(width / 8); i++) value += cursor.view.getUint8(cursor.at++) * 2 ** (8 * i);
      const end = Math.min(count, done + head / 2);
      values.fill(value, done, end);
      done = end;
      continue;
    }
    const packed = Math.min(count - done, ((head - 1) / 2) * 8);
    unpack(cursor, width, values.subarray(done, done + packed));
    done += packed;
    // All eight of a group are there, also where fewer are wanted.
    cursor.at += (Math.ceil(packed / 8) * 8 * width) / 8 - Math.ceil((packed * width) / 8);
  }
  return values;
}

/** Bits from the lowest of each byte on. */
function unpack(cursor: PageCursor, width: number, target: Uint32Array): void {
  const start = cursor.at;
  for (let index = 0; index < target.length; index++) {
    let value = 0;
    for (let taken = 0; taken < width;) {
      const bit = index * width + taken;
      const byte = cursor.view.getUint8(start + Math.floor(bit / 8));
      const from = bit % 8;
      const size = Math.min(8 - from, width - taken);
      value += ((byte >> from) & ((1 << size) - 1)) * 2 ** taken;
      taken += size;
    }
    target[index] = value;
  }
  cursor.at = start + Math.ceil((target.length * width) / 8);
}

/**
 * `count` numbers as differences (DELTA_BINARY_PACKED), wrapped to `bits`. The page is left behind the last miniblock that
 * holds one of them. Throws a RangeError where the page ends before.
 */
export function readDeltas(cursor: PageCursor, count: number, bits: 32 | 64): BigInt64Array {
  const [blockSize, miniblocks] = [varintAt(cursor), varintAt(cursor)];
  varintAt(cursor);
  const perMiniblock = blockSize / miniblocks;
  if (!Number.isInteger(perMiniblock) || perMiniblock < 8 || perMiniblock % 8 !== 0) {
    throw new RangeError(`blocks of ${blockSize} differences in ${miniblocks} parts`);
  }
  const values = new BigInt64Array(count);
  let value = zigzagAt(cursor);
  if (count > 0) values[0] = BigInt.asIntN(bits, value);
  for (let done = 1; done < count;) {
    const least = zigzagAt(cursor);
    const widths = cursor.at;
    cursor.at += miniblocks;
    for (let part = 0; part < miniblocks && done < count; part++) {
      const width = cursor.view.getUint8(widths + part);
      if (width > 64) throw new RangeError(`differences of ${width} bits`);
      const start = cursor.at;
      for (let i = 0; i < perMiniblock && done < count; i++, done++) {
        value += least + bitsAt(cursor.view, start, i * width, width);
        values[done] = BigInt.asIntN(bits, value);
      }
      cursor.at = start + (perMiniblock * width) / 8;
    }
  }
  return values;
}

function bitsAt(view: DataView, start: number, first: number, width: number): bigint {
  let value = 0n;
  for (let taken = 0; taken < width;) {
    const bit = first + taken;
    const from = bit % 8;
    const size = Math.min(8 - from, width - taken);
    const byte = view.getUint8(start + Math.floor(bit / 8));
    value |= BigInt((byte >> from) & ((1 << size) - 1)) << BigInt(taken);
    taken += size;
  }
  return value;
}

function zigzagAt(cursor: PageCursor): bigint {
  let value = 0n;
  for (let taken = 0; taken < 10; taken++) {
    const next = cursor.view.getUint8(cursor.at++);
    value |= BigInt(next & 127) << BigInt(7 * taken);
    if (next < 128) return BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n));
  }
  throw new RangeError('a number has more than ten bytes');
}
