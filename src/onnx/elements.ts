import { LowrankError } from '../errors.js';
import {
  BFLOAT16,
  BOOL,
  dataTypeName,
  DOUBLE,
  FLOAT,
  FLOAT16,
  INT16,
  INT32,
  INT64,
  INT8,
  UINT16,
  UINT32,
  UINT64,
  UINT8,
} from './data-type.js';
import { bfloat16ToNumber, float16ToNumber, numberToBfloat16, numberToFloat16 } from '../float16.js';
import { type Chunk, chunkLength } from '../files/chunk.js';

/** Bytes converted at a time: a multiple of every element's width. */
const pieceSize = 1 << 20;

interface ElementReader {
  readonly width: number;
  read(view: DataView, at: number): number;
}

/** Little-endian elements as numbers. */
const readers: ReadonlyMap<number, ElementReader> = new Map<number, ElementReader>([
  [FLOAT, { width: 4, read: (view, at) => view.getFloat32(at, true) }],
  [DOUBLE, { width: 8, read: (view, at) => view.getFloat64(at, true) }],
  [FLOAT16, { width: 2, read: (view, at) => float16ToNumber(view.getUint16(at, true)) }],
  [BFLOAT16, { width: 2, read: (view, at) => bfloat16ToNumber(view.getUint16(at, true)) }],
  [INT64, { width: 8, read: (view, at) => Number(view.getBigInt64(at, true)) }],
  [UINT64, { width: 8, read: (view, at) => Number(view.getBigUint64(at, true)) }],
  [INT32, { width: 4, read: (view, at) => view.getInt32(at, true) }],
  [UINT32, { width: 4, read: (view, at) => view.getUint32(at, true) }],
  [INT16, { width: 2, read: (view, at) => view.getInt16(at, true) }],
  [UINT16, { width: 2, read: (view, at) => view.getUint16(at, true) }],
  [INT8, { width: 1, read: (view, at) => view.getInt8(at) }],
  [UINT8, { width: 1, read: (view, at) => view.getUint8(at) }],
  [BOOL, { width: 1, read: (view, at) => view.getUint8(at) }],
]);

/**
 * Converts raw little-endian data of any float, integer or bool type into `target`, piece by piece. Elements beyond the
 * precision of `target` round to nearest even. Throws UNSUPPORTED for other types.
 */
export function decodeElements(
  data: Chunk,
  dataType: number,
  target: Float32Array | Float64Array,
  tensorName: string,
): void {
  const reader = readers.get(dataType);
  if (reader === undefined) {
    throw new LowrankError('UNSUPPORTED', `${dataTypeName(dataType)} elements cannot be read as numbers`, {
      place: `tensor '${tensorName}'`,
    });
  }
  const { width } = reader;
  const length = chunkLength(data);
  for (let start = 0; start < length; start += pieceSize) {
    const end = Math.min(start + pieceSize, length);
    const piece = readPart(data, start, end);
    const view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength);
    const first = start / width;
    const count = piece.length / width;
    for (let i = 0; i < count; i++) target[first + i] = reader.read(view, i * width);
  }
}

function readPart(data: Chunk, start: number, end: number): Uint8Array {
  if (data instanceof Uint8Array) return data.subarray(start, end);
  return data.source.read(data.start + start, data.start + end);
}

/** Little-endian bytes of `values` as the float type `dataType`. float32 is not copied. Throws UNSUPPORTED for other types. */
export function encodeFloats(values: Float32Array, dataType: number): Uint8Array {
  if (dataType === FLOAT) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  if (dataType === DOUBLE) return new Uint8Array(Float64Array.from(values).buffer);
  if (dataType === FLOAT16) return new Uint8Array(Uint16Array.from(values, numberToFloat16).buffer);
  if (dataType === BFLOAT16) return new Uint8Array(Uint16Array.from(values, numberToBfloat16).buffer);
  throw new LowrankError('UNSUPPORTED', `it computes with ${dataTypeName(dataType)} where floats are needed`);
}
