import { LowrankError, messageOf } from '../errors.js';
import {
  BFLOAT16,
  BOOL,
  byteLengthOf,
  dataTypeInfo,
  dataTypeName,
  DOUBLE,
  FLOAT,
  FLOAT16,
  INT32,
  INT64,
  STRING,
} from './data-type.js';
import { bfloat16ToNumber, float16ToNumber, numberToBfloat16, numberToFloat16 } from './float16.js';
import { type Message, TensorProto } from './proto.js';
import { type ByteRange, memorySource } from './source.js';
import { type Chunk, delimited, fields } from './wire.js';

/** Where external data lies, as the model says it. */
export interface ExternalLocation {
  readonly location: string;
  readonly range: ByteRange;
}

/** Gives the bytes that an `external_data` record points to. Throws EXTERNAL_DATA. */
export type ExternalResolver = (record: ReadonlyMap<string, string>, tensorName: string) => ExternalLocation;

type Storage =
  | { readonly kind: 'raw'; readonly range: ByteRange }
  | { readonly kind: 'external'; readonly external: ExternalLocation }
  /** float_data, int32_data …: decoded from the TensorProto when asked for. */
  | { readonly kind: 'typed'; readonly proto: ByteRange };

const RAW_DATA = 9;
const EXTERNAL_DATA = 13;
/** Payloads up to this size are read with the header. */
const smallPayload = 1024;
const dataFields = new Set([4, 5, 6, 7, 9, 10, 11]);

/**
 * A TensorProto whose data stays where it lies until it is asked for, and is not kept then: a model of any size can be
 * walked in little memory. Immutable.
 */
export class Tensor {
  readonly name: string;
  readonly dataType: number;
  readonly dims: readonly number[];
  /** Product of `dims`; 1 for scalars. */
  readonly size: number;
  /** The TensorProto it was read from, without its tag; undefined for tensors made here. */
  readonly original: ByteRange | undefined;
  readonly #storage: Storage;

  private constructor(
    name: string,
    dataType: number,
    dims: readonly number[],
    storage: Storage,
    original: ByteRange | undefined,
  ) {
    this.name = name;
    this.dataType = dataType;
    this.dims = dims;
    this.size = dims.reduce((product, dim) => product * dim, 1);
    this.#storage = storage;
    this.original = original;
  }

  /**
   * Reads the header of a TensorProto and checks that dims, type and data length agree.
   * Throws FORMAT where they do not, EXTERNAL_DATA where its file does not hold what is claimed.
   */
  static read(range: ByteRange, resolve: ExternalResolver): Tensor {
    const header: Uint8Array[] = [];
    let raw: ByteRange | undefined;
    for (const field of fields(range)) {
      if (field.number === RAW_DATA && field.wireType === 2) {
        raw = { source: range.source, start: field.payload, end: field.end };
        continue;
      }
      const isLargeData = dataFields.has(field.number) && field.end - field.payload > smallPayload;
      if (!isLargeData) header.push(range.source.read(field.start, field.end));
    }
    const message = decode(TensorProto.decode, Buffer.concat(header), range);
    const name = String(message['name'] ?? '');
    const dataType = Number(message['data_type'] ?? 0);
    const place = `${range.source.label}, tensor '${name}'`;
    const dims = (message['dims'] as unknown[]).map((dim) => Number(dim));
    const bad = dims.find((dim) => !Number.isSafeInteger(dim) || dim < 0);
    if (bad !== undefined) throw new LowrankError('FORMAT', `impossible dimension ${bad}`, { place });
    const count = dims.reduce((product, dim) => product * dim, 1);
    if (!Number.isSafeInteger(count)) {
      throw new LowrankError('FORMAT', `dims [${dims.join(', ')}] are too large to be real`, { place });
    }
    const expected = byteLengthOf(dataType, count);
    if (Number(message['data_location'] ?? 0) === 1) {
      if (expected === undefined) {
        throw new LowrankError('EXTERNAL_DATA', `${dataTypeName(dataType)} elements cannot be external`, { place });
      }
      const record = externalRecord(message);
      if (!record.has('length')) record.set('length', String(expected));
      const external = resolve(record, name);
      const length = external.range.end - external.range.start;
      if (length !== expected) throw wrongLength(length, expected, dims, dataType, place);
      return new Tensor(name, dataType, dims, { kind: 'external', external }, range);
    }
    if (raw !== undefined && expected !== undefined) {
      if (raw.end - raw.start !== expected) throw wrongLength(raw.end - raw.start, expected, dims, dataType, place);
      return new Tensor(name, dataType, dims, { kind: 'raw', range: raw }, range);
    }
    const tensor = new Tensor(name, dataType, dims, { kind: 'typed', proto: range }, range);
    if (expected !== undefined) checkTypedCount(range, dataType, count, dims, place);
    return tensor;
  }

  /** A tensor over `bytes` (little-endian, row-major, not copied). Throws INTERNAL where the length does not fit. */
  static of(name: string, dataType: number, dims: readonly number[], bytes: Uint8Array): Tensor {
    const source = memorySource(bytes, `tensor '${name}'`);
    return Tensor.ofRange(name, dataType, dims, { source, start: 0, end: source.size });
  }

  /**
   * A tensor whose raw data is a range of any source, such as one that computes its bytes when they are read.
   * Throws INTERNAL where the length does not fit.
   */
  static ofRange(name: string, dataType: number, dims: readonly number[], range: ByteRange): Tensor {
    const count = dims.reduce((product, dim) => product * dim, 1);
    const length = range.end - range.start;
    if (byteLengthOf(dataType, count) !== length) {
      throw new LowrankError(
        'INTERNAL',
        `tensor '${name}' of ${dataTypeName(dataType)} [${dims.join(', ')}] given ${length} bytes`,
      );
    }
    return new Tensor(name, dataType, [...dims], { kind: 'raw', range }, undefined);
  }

  /** A float32 tensor over `values` (not copied), or one of the float type `dataType`, rounded to nearest even. */
  static ofFloats(name: string, dims: readonly number[], values: Float32Array, dataType: number = FLOAT): Tensor {
    return Tensor.of(name, dataType, dims, encodeFloats(values, dataType));
  }

  static ofInts(name: string, dims: readonly number[], values: readonly number[]): Tensor {
    const data = BigInt64Array.from(values, (value) => BigInt(value));
    return Tensor.of(name, INT64, dims, new Uint8Array(data.buffer));
  }

  /** The same data under another name; writing it encodes a new header and copies the payload. */
  renamed(name: string): Tensor {
    return new Tensor(name, this.dataType, this.dims, this.#storage, undefined);
  }

  get isExternal(): boolean {
    return this.#storage.kind === 'external';
  }

  /** The external record it was read from. */
  get external(): ExternalLocation | undefined {
    return this.#storage.kind === 'external' ? this.#storage.external : undefined;
  }

  /** Bytes of the data; undefined for strings. */
  get byteLength(): number | undefined {
    return byteLengthOf(this.dataType, this.size);
  }

  /** The raw little-endian data: read anew at each call, and possibly shared, so not to be written to. */
  bytes(): Uint8Array {
    const payload = this.payload();
    return payload instanceof Uint8Array ? payload : payload.source.read(payload.start, payload.end);
  }

  /** The raw data as something to write: a range where it lies in a file. Throws UNSUPPORTED for strings. */
  payload(): Chunk {
    switch (this.#storage.kind) {
      case 'raw':
        return this.#storage.range;
      case 'external':
        return this.#storage.external.range;
      case 'typed':
        return rawFromTyped(this.#storage.proto, this.dataType, this.size);
    }
  }

  /**
   * The elements as float32, converted from any float type (float64 rounds; float16 and bfloat16 are exact).
   * Throws UNSUPPORTED for other types.
   */
  toFloat32(): Float32Array {
    if (this.dataType === FLOAT) {
      // A fresh, aligned buffer that the caller may keep.
      const values = new Float32Array(this.size);
      const payload = this.payload();
      const target = new Uint8Array(values.buffer);
      if (payload instanceof Uint8Array) target.set(payload);
      else payload.source.readInto(target, payload.start);
      return values;
    }
    return Float32Array.from(this.toNumbers());
  }

  /** The elements as numbers: any float, integer or bool type. 64-bit integers beyond 2^53 are rounded. */
  toNumbers(): Float64Array {
    const bytes = this.bytes();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const values = new Float64Array(this.size);
    const read = elementReader(this.dataType);
    if (read === undefined) {
      throw new LowrankError('UNSUPPORTED', `${dataTypeName(this.dataType)} elements cannot be read as numbers`, {
        place: `tensor '${this.name}'`,
      });
    }
    for (let i = 0; i < values.length; i++) values[i] = read(view, i);
    return values;
  }

  /** The whole TensorProto without its tag: the original bytes where nothing changed. */
  encode(): Chunk[] {
    if (this.original !== undefined) return [this.original];
    const header = TensorProto.encode({ dims: [...this.dims], data_type: this.dataType, name: this.name });
    return [header, ...delimited(RAW_DATA, [this.payload()])];
  }

  /** The TensorProto with its data at `offset` of the file `location`. All other fields stay. */
  encodeExternal(location: string, offset: number): Uint8Array {
    const length = this.byteLength ?? 0;
    const base = this.original === undefined ? this.#header() : withoutData(this.original);
    const entry = (key: string, value: string): Uint8Array =>
      Buffer.concat(delimited(EXTERNAL_DATA, [Buffer.concat([text(1, key), text(2, value)])]) as Uint8Array[]);
    return Buffer.concat([
      base,
      entry('location', location),
      entry('offset', String(offset)),
      entry('length', String(length)),
      Uint8Array.of(14 * 8, 1), // data_location = EXTERNAL
    ]);
  }

  #header(): Uint8Array {
    return TensorProto.encode({ dims: [...this.dims], data_type: this.dataType, name: this.name });
  }
}

function text(number: number, value: string): Uint8Array {
  return Buffer.concat(delimited(number, [Buffer.from(value, 'utf8')]) as Uint8Array[]);
}

/** Every field of a TensorProto but its data, byte for byte. */
function withoutData(range: ByteRange): Uint8Array {
  const kept: Uint8Array[] = [];
  for (const field of fields(range)) {
    if (dataFields.has(field.number) || field.number === EXTERNAL_DATA || field.number === 14) continue;
    kept.push(range.source.read(field.start, field.end));
  }
  return Buffer.concat(kept);
}

/** Decodes with `codec`, turning its complaint into FORMAT. */
export function decode(codec: (bytes: Uint8Array) => Message, bytes: Uint8Array, range: ByteRange): Message {
  try {
    return codec(bytes);
  } catch (error) {
    throw new LowrankError('FORMAT', `malformed ONNX message: ${messageOf(error)}`, {
      place: `${range.source.label} at byte ${range.start}`,
      remedy: 'check that the file is complete',
      cause: error,
    });
  }
}

function externalRecord(message: Message): Map<string, string> {
  const record = new Map<string, string>();
  for (const entry of message['external_data'] as Message[]) {
    record.set(String(entry['key'] ?? ''), String(entry['value'] ?? ''));
  }
  return record;
}

function wrongLength(
  got: number,
  expected: number,
  dims: readonly number[],
  dataType: number,
  place: string,
): LowrankError {
  return new LowrankError(
    'FORMAT',
    `${got} bytes of data where ${dataTypeName(dataType)} [${dims.join(', ')}] needs ${expected}`,
    { place, remedy: 'the file is damaged: export it again' },
  );
}

/** Counts the elements of the typed data field without keeping them. */
function checkTypedCount(
  range: ByteRange,
  dataType: number,
  count: number,
  dims: readonly number[],
  place: string,
): void {
  const message = decode(TensorProto.decode, range.source.read(range.start, range.end), range);
  const info = dataTypeInfo(dataType);
  const field = info?.field;
  const values = field === null || field === undefined ? [] : (message[field] as unknown[]);
  const expected = typedElements(dataType, count);
  if (values.length === expected) return;
  throw new LowrankError(
    'FORMAT',
    `${values.length} values in ${field} where ${dataTypeName(dataType)} [${dims.join(', ')}] needs ${expected}`,
    { place, remedy: 'the file is damaged: export it again' },
  );
}

/** Entries of the typed field: complex numbers take two, sub-byte types share a byte. */
function typedElements(dataType: number, count: number): number {
  const info = dataTypeInfo(dataType);
  if (info?.name === 'complex64' || info?.name === 'complex128') return 2 * count;
  if (info !== undefined && info.bits > 0 && info.bits < 8) return Math.ceil((count * info.bits) / 8);
  return count;
}

function rawFromTyped(range: ByteRange, dataType: number, size: number): Uint8Array {
  const info = dataTypeInfo(dataType);
  if (info === undefined || info.field === null || dataType === STRING) {
    throw new LowrankError('UNSUPPORTED', `${dataTypeName(dataType)} tensors have no raw form`, {
      place: `${range.source.label} at byte ${range.start}`,
    });
  }
  const message = decode(TensorProto.decode, range.source.read(range.start, range.end), range);
  const values = message[info.field] as unknown[];
  const bytes = new Uint8Array(byteLengthOf(dataType, size) ?? 0);
  const view = new DataView(bytes.buffer);
  const width = info.name.startsWith('complex') ? info.bits / 16 : Math.max(1, info.bits / 8);
  for (let i = 0; i < values.length; i++) {
    const at = i * width;
    if (info.field === 'float_data') view.setFloat32(at, Number(values[i]), true);
    else if (info.field === 'double_data') view.setFloat64(at, Number(values[i]), true);
    else if (width === 8) view.setBigUint64(at, BigInt.asUintN(64, BigInt(String(values[i]))), true);
    else if (width === 4) view.setUint32(at, Number(values[i]) >>> 0, true);
    else if (width === 2) view.setUint16(at, Number(values[i]) & 0xffff, true);
    else view.setUint8(at, Number(values[i]) & 0xff);
  }
  return bytes;
}

function elementReader(dataType: number): ((view: DataView, index: number) => number) | undefined {
  switch (dataType) {
    case FLOAT:
      return (view, i) => view.getFloat32(4 * i, true);
    case DOUBLE:
      return (view, i) => view.getFloat64(8 * i, true);
    case FLOAT16:
      return (view, i) => float16ToNumber(view.getUint16(2 * i, true));
    case BFLOAT16:
      return (view, i) => bfloat16ToNumber(view.getUint16(2 * i, true));
    case INT64:
      return (view, i) => Number(view.getBigInt64(8 * i, true));
    case 13:
      return (view, i) => Number(view.getBigUint64(8 * i, true));
    case INT32:
      return (view, i) => view.getInt32(4 * i, true);
    case 12:
      return (view, i) => view.getUint32(4 * i, true);
    case 5:
      return (view, i) => view.getInt16(2 * i, true);
    case 4:
      return (view, i) => view.getUint16(2 * i, true);
    case 3:
      return (view, i) => view.getInt8(i);
    case 2:
    case BOOL:
      return (view, i) => view.getUint8(i);
    default:
      return undefined;
  }
}

/** Little-endian bytes of `values` as the float type `dataType`. float32 is not copied. */
function encodeFloats(values: Float32Array, dataType: number): Uint8Array {
  if (dataType === FLOAT) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  if (dataType === DOUBLE) return new Uint8Array(Float64Array.from(values).buffer);
  if (dataType === FLOAT16) return new Uint8Array(Uint16Array.from(values, numberToFloat16).buffer);
  if (dataType === BFLOAT16) return new Uint8Array(Uint16Array.from(values, numberToBfloat16).buffer);
  throw new LowrankError('INTERNAL', `${dataTypeName(dataType)} is not a float type`);
}
