import { LowrankError } from '../errors.js';
import { type ByteSource, fileSource } from '../onnx/source.js';
import { writeFileWhole } from '../onnx/write-file.js';
import { sizeOf } from '../ops/support/layout.js';

/** Arrays that safetensors files hold here, by their names in the format. */
const types = {
  F32: Float32Array,
  F64: Float64Array,
  I32: Int32Array,
  I64: BigInt64Array,
  U8: Uint8Array,
} as const;
type TypeName = keyof typeof types;

export type SafetensorsData = Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array;

export interface SafetensorsEntry {
  readonly shape: readonly number[];
  readonly data: SafetensorsData;
}

export interface SafetensorsFile {
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What Hugging Face's own reader takes at most. */
const largestHeader = 100_000_000;

/**
 * Writes a safetensors file (github.com/huggingface/safetensors): an 8-byte header length, a JSON header, then the data,
 * little-endian, in the order given, which must be of falling element size for aligned offsets. Whole or not at all.
 * Throws OUTPUT.
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, SafetensorsEntry>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  writeFileWhole(path, encodeSafetensors(tensors, metadata));
}

export function encodeSafetensors(
  tensors: ReadonlyMap<string, SafetensorsEntry>,
  metadata: Readonly<Record<string, string>> = {},
): Buffer {
  let offset = 0;
  const header: Record<string, unknown> = Object.keys(metadata).length === 0 ? {} : { __metadata__: metadata };
  const parts: Uint8Array[] = [];
  for (const [name, { shape, data }] of tensors) {
    const dtype = (Object.keys(types) as TypeName[]).find((key) => data instanceof types[key])!;
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    parts.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    offset += data.byteLength;
  }
  const json = Buffer.from(JSON.stringify(header), 'utf8');
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, ...parts]);
}

/** Reads a safetensors file. Throws INPUT where it cannot be read, FORMAT where it is damaged. */
export function readSafetensors(path: string): SafetensorsFile {
  const source = fileSource(path);
  try {
    return parse(source);
  } finally {
    source.close();
  }
}

function parse({ size, label, read, readInto }: ByteSource): SafetensorsFile {
  const broken = (fact: string): LowrankError =>
    new LowrankError('FORMAT', fact, { place: label, remedy: 'the file is damaged: use another' });
  if (size < 8) throw broken(`${size} bytes are no safetensors file`);
  const headerLength = Number(Buffer.from(read(0, 8)).readBigUInt64LE());
  if (headerLength > largestHeader || headerLength + 8 > size) {
    throw broken(`a header of ${headerLength} bytes in a file of ${size}`);
  }
  const start = 8 + headerLength;
  const available = size - start;
  let header: unknown;
  try {
    header = JSON.parse(Buffer.from(read(8, start)).toString('utf8'));
  } catch (error) {
    if (error instanceof LowrankError) throw error;
    throw broken('the header is no JSON');
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) throw broken('the header is no object');
  const tensors = new Map<string, SafetensorsEntry>();
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') {
      metadata = entry as Record<string, string>;
      continue;
    }
    const described = describe(entry);
    if (described === undefined) throw broken(`tensor '${name}' is not described`);
    const { dtype, shape, begin, end } = described;
    const count = sizeOf(shape);
    const bytes = end - begin;
    if (begin < 0 || end > available || count * types[dtype].BYTES_PER_ELEMENT !== bytes) {
      throw broken(`tensor '${name}' ${dtype} [${shape.join(', ')}] at ${begin} to ${end} of ${available} bytes`);
    }
    const buffer = new ArrayBuffer(bytes);
    readInto(new Uint8Array(buffer), start + begin);
    tensors.set(name, { shape, data: new types[dtype](buffer) });
  }
  return { tensors, metadata };
}

interface Description {
  readonly dtype: TypeName;
  readonly shape: number[];
  readonly begin: number;
  readonly end: number;
}

function describe(entry: unknown): Description | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined;
  const { dtype, shape, data_offsets: offsets } = entry as Record<string, unknown>;
  const areCounts = (list: unknown): list is number[] =>
    Array.isArray(list) && list.every((item) => Number.isSafeInteger(item) && (item as number) >= 0);
  if (typeof dtype !== 'string' || !(dtype in types) || !areCounts(shape) || !areCounts(offsets)) return undefined;
  if (offsets.length !== 2 || offsets[1]! < offsets[0]!) return undefined;
  return { dtype: dtype as TypeName, shape, begin: offsets[0]!, end: offsets[1]! };
}
