import { LowrankError } from '../errors.js';
import { byteLengthOf, dataTypeName, FLOAT, INT64, STRING } from './data-type.js';
import { decodeElements, encodeFloats } from './elements.js';
import { TensorProto } from './proto.js';
import { countElements } from './repeated.js';
import { allocate, type ByteRange, memorySource } from '../files/source.js';
import { tensorFields } from './tensor-fields.js';
import { shown } from './text.js';
import { typedInfo, type TypedInfo, typedPayload } from './typed-data.js';
import { delimited, fields, numeric, text } from './wire.js';
import type { Chunk } from '../files/chunk.js';
import { EXTERNAL, dataFields, readHeader, externalRecord, countStrings } from './tensor-header.js';

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
  | { readonly kind: 'typed'; readonly proto: ByteRange; readonly info: TypedInfo }
  /** Strings, and types that this version does not know: passed through only. */
  | { readonly kind: 'opaque' };

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
  /** The TensorProto that it was read from, also where the name has changed since. */
  readonly #base: ByteRange | undefined;

  private constructor(
    name: string,
    dataType: number,
    dims: readonly number[],
    storage: Storage,
    base: ByteRange | undefined,
    isOriginal: boolean,
  ) {
    this.name = name;
    this.dataType = dataType;
    this.dims = dims;
    this.size = dims.reduce((product, dim) => product * dim, 1);
    this.#storage = storage;
    this.#base = base;
    this.original = isOriginal ? base : undefined;
  }

  /**
   * Reads the header of a TensorProto and checks that dims, type and data length agree.
   * Throws FORMAT where they do not, EXTERNAL_DATA where its file does not hold what is claimed.
   */
  static read(range: ByteRange, resolve: ExternalResolver): Tensor {
    const { message, raw } = readHeader(range);
    const name = String(message['name'] ?? '');
    const dataType = Number(message['data_type'] ?? 0);
    const place = `${range.source.label}, tensor '${shown(name)}'`;
    const dims = (message['dims'] as unknown[]).map((dim) => Number(dim));
    const bad = dims.find((dim) => !Number.isSafeInteger(dim) || dim < 0);
    if (bad !== undefined) {
      throw new LowrankError('FORMAT', `impossible dimension ${bad}`, { place, remedy: 'export the model again' });
    }
    const count = dims.reduce((product, dim) => product * dim, 1);
    const expected = byteLengthOf(dataType, count);
    if (!Number.isSafeInteger(count) || (expected !== undefined && !Number.isSafeInteger(expected))) {
      throw new LowrankError('FORMAT', `dims ${shapeText(dims)} are too large to be real`, {
        place,
        remedy: 'export the model again',
      });
    }
    const refuseLength = (got: number, unit: string, needed: number): void => {
      if (got === needed) return;
      throw new LowrankError(
        'FORMAT',
        `${got} ${unit} where ${dataTypeName(dataType)} ${shapeText(dims)} needs ${needed}`,
        { place, remedy: 'the file is damaged: export it again' },
      );
    };
    const tensor = (storage: Storage): Tensor => new Tensor(name, dataType, dims, storage, range, true);

    if (Number(message['data_location'] ?? 0) === EXTERNAL) {
      const record = externalRecord(message);
      if (dataType === STRING || (expected === undefined && !record.has('length'))) {
        throw new LowrankError('EXTERNAL_DATA', `${dataTypeName(dataType)} elements cannot be external`, {
          place,
          remedy: 'save the model with its data inside',
        });
      }
      if (!record.has('length')) record.set('length', String(expected));
      const external = resolve(record, name);
      const length = external.range.end - external.range.start;
      refuseLength(length, 'bytes of data', expected ?? length);
      return tensor({ kind: 'external', external });
    }
    if (raw !== undefined && expected !== undefined) {
      refuseLength(raw.end - raw.start, 'bytes of data', expected);
      return tensor({ kind: 'raw', range: raw });
    }
    if (dataType === STRING) {
      refuseLength(countStrings(range), 'strings', count);
      return tensor({ kind: 'opaque' });
    }
    const info = typedInfo(dataType, count);
    if (info === undefined) return tensor({ kind: 'opaque' });
    refuseLength(countElements(range, info.number, info.form), `values in ${info.field}`, info.count);
    return tensor({ kind: 'typed', proto: range, info });
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
    return new Tensor(name, dataType, [...dims], { kind: 'raw', range }, undefined, false);
  }

  /** A float32 tensor over `values` (not copied), or one of the float type `dataType`, rounded to nearest even. */
  static ofFloats(name: string, dims: readonly number[], values: Float32Array, dataType: number = FLOAT): Tensor {
    return Tensor.of(name, dataType, dims, encodeFloats(values, dataType));
  }

  static ofInts(name: string, dims: readonly number[], values: readonly number[]): Tensor {
    const data = BigInt64Array.from(values, (value) => BigInt(value));
    return Tensor.of(name, INT64, dims, new Uint8Array(data.buffer));
  }

  /** The same data under another name. Other fields stay as they were. */
  renamed(name: string): Tensor {
    const isOriginal = this.original !== undefined && name === this.name;
    return new Tensor(name, this.dataType, this.dims, this.#storage, this.#base, isOriginal);
  }

  get isExternal(): boolean {
    return this.#storage.kind === 'external';
  }

  /** The external record it was read from. */
  get external(): ExternalLocation | undefined {
    return this.#storage.kind === 'external' ? this.#storage.external : undefined;
  }

  /** Bytes of the raw data; undefined for strings and unknown types. */
  get byteLength(): number | undefined {
    if (this.#storage.kind !== 'external') return byteLengthOf(this.dataType, this.size);
    const { start, end } = this.#storage.external.range;
    return end - start;
  }

  /** The raw little-endian data: read anew at each call, and possibly shared, so not to be written to. */
  bytes(): Uint8Array {
    const { source, start, end } = this.payload();
    return source.read(start, end);
  }

  /** The raw data where it lies, or as it is decoded when it is read. Throws UNSUPPORTED for strings. */
  payload(): ByteRange {
    switch (this.#storage.kind) {
      case 'raw':
        return this.#storage.range;
      case 'external':
        return this.#storage.external.range;
      case 'typed':
        return typedPayload(this.#storage.proto, this.#storage.info, this.name);
      case 'opaque':
        throw new LowrankError('UNSUPPORTED', `${dataTypeName(this.dataType)} tensors have no raw form`, {
          place: `tensor '${this.name}'`,
        });
    }
  }

  /**
   * The elements as float32, converted from any float, integer or bool type (float64 and large integers round; float16
   * and bfloat16 are exact). Throws UNSUPPORTED for other types.
   */
  toFloat32(into?: Float32Array): Float32Array {
    // A fresh, aligned buffer that the caller may keep.
    const values = into ?? allocate(() => new Float32Array(this.size), `tensor '${this.name}'`);
    const { source, start, end } = this.payload();
    if (this.dataType === FLOAT)
      source.readInto(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), start);
    else decodeElements({ source, start, end }, this.dataType, values, this.name);
    return values;
  }

  /** The elements as numbers: any float, integer or bool type. 64-bit integers beyond 2^53 are rounded. */
  toNumbers(): Float64Array {
    const values = allocate(() => new Float64Array(this.size), `tensor '${this.name}'`);
    decodeElements(this.payload(), this.dataType, values, this.name);
    return values;
  }

  /** The whole TensorProto without its tag: the original bytes where nothing changed. */
  encode(): Chunk[] {
    if (this.original !== undefined) return [this.original];
    if (this.#base === undefined) return [this.#header(), ...delimited(tensorFields.rawData, [this.payload()])];
    return this.#baseWithout(new Set());
  }

  /** The TensorProto with its data inside, also where that lies in another file. All other fields stay. */
  encodeInline(): Chunk[] {
    if (!this.isExternal) return this.encode();
    return [...this.#baseWithout(dataFields), ...delimited(tensorFields.rawData, [this.payload()])];
  }

  /** The TensorProto with its data at `offset` of the file `location`. All other fields stay. */
  encodeExternal(location: string, offset: number): Chunk[] {
    const { start, end } = this.payload();
    const entry = (key: string, value: string): Chunk[] =>
      delimited(tensorFields.externalData, [text(1, key), text(2, value)]);
    return [
      ...this.#baseWithout(dataFields),
      ...entry('location', location),
      ...entry('offset', String(offset)),
      ...entry('length', String(end - start)),
      numeric(tensorFields.dataLocation, EXTERNAL),
    ];
  }

  #header(): Uint8Array {
    return TensorProto.encode({ dims: [...this.dims], data_type: this.dataType, name: this.name });
  }

  /** The fields it was read with but `dropped`, byte for byte, under the present name. */
  #baseWithout(dropped: ReadonlySet<number>): Chunk[] {
    const base = this.#base;
    if (base === undefined) return [this.#header()];
    const isRenamed = this.original === undefined;
    const kept: Chunk[] = [];
    for (const { number, start, end } of fields(base)) {
      if (dropped.has(number) || (isRenamed && number === tensorFields.name)) continue;
      kept.push({ source: base.source, start, end });
    }
    if (isRenamed) kept.push(text(tensorFields.name, this.name));
    return kept;
  }
}

/** "[64, 3, 7, 7]", cut where there are too many dimensions for a message. */
function shapeText(dims: readonly number[]): string {
  const shown = dims.slice(0, 8).join(', ');
  return dims.length > 8 ? `[${shown}, … ${dims.length} dimensions]` : `[${shown}]`;
}
