import { LowrankError } from '../errors.js';
import { bfloat16ToNumber, float16ToNumber } from '../float16.js';
import { type ByteSource, fileSource } from './source.js';

/** Arrays that safetensors files hold here, by their names in the format. */
const types = {
  F32: Float32Array,
  F64: Float64Array,
  I32: Int32Array,
  I64: BigInt64Array,
  U8: Uint8Array,
} as const;
type TypeName = keyof typeof types;

/** Types that are read as float32, which holds each of their numbers. */
const halves = { F16: float16ToNumber, BF16: bfloat16ToNumber } as const;
type HalfName = keyof typeof halves;
const bytesOfHalf = 2;

/** The other types of the format. */
const otherTypes: ReadonlySet<string> = new Set([
  'BOOL',
  'I8',
  'I16',
  'U16',
  'U32',
  'U64',
  'C64',
  'F4',
  'F6_E2M3',
  'F6_E3M2',
  'F8_E4M3',
  'F8_E5M2',
  'F8_E8M0',
]);

export type SafetensorsData = Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array;

export interface SafetensorsEntry {
  readonly shape: readonly number[];
  readonly data: SafetensorsData;
}

export interface SafetensorsFile {
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Of a hundred thousand tensors. JSON takes ten times as much in memory. */
const largestHeader = 10_000_000;

/**
 * The bytes of a safetensors file (github.com/huggingface/safetensors): an 8-byte header length, a JSON header, then the data, little-endian,
 * in the order given, which must be of falling element size for aligned offsets.
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, SafetensorsEntry>,
  metadata: Readonly<Record<string, string>> = {},
): Buffer {
  let offset = 0;
  const header: Record<string, unknown> = Object.keys(metadata).length === 0 ? {} : { __metadata__: metadata };
  const parts: Uint8Array[] = [];
  for (const [name, { shape, data }] of tensors) {
    header[name] = { dtype: typeNameOf(data), shape, data_offsets: [offset, offset + data.byteLength] };
    parts.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    offset += data.byteLength;
  }
  const json = Buffer.from(JSON.stringify(header), 'utf8');
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, ...parts]);
}

/** The name of the type of a tensor's numbers, as the format has it; F32 for what was read from F16 and BF16. */
export function typeNameOf(data: SafetensorsData): TypeName {
  return (Object.keys(types) as TypeName[]).find((key) => data instanceof types[key])!;
}

/**
 * Reads a safetensors file; float16 and bfloat16 as float32. Throws INPUT where it cannot be read, UNSUPPORTED for tensors of
 * other types, FORMAT where it is damaged: also where tensors overlap, leave bytes out or are there twice, which the format
 * forbids.
 */
export function readSafetensors(path: string): SafetensorsFile {
  return withSource(path, (source) => {
    const { start, described, metadata } = parseHeader(source);
    const tensors = new Map<string, SafetensorsEntry>();
    for (const [name, description] of described) {
      tensors.set(name, { shape: description.shape, data: readData(source, start, description) });
    }
    return { tensors, metadata };
  });
}

/** What a safetensors file says beside its tensors. Throws as `readSafetensors`. */
export function safetensorsMetadata(path: string): SafetensorsFile['metadata'] {
  return withSource(path, (source) => parseHeader(source).metadata);
}

function withSource<T>(path: string, use: (source: ByteSource) => T): T {
  const source = fileSource(path);
  try {
    return use(source);
  } finally {
    source.close();
  }
}

function readData({ readInto }: ByteSource, start: number, { dtype, begin, end }: Description): SafetensorsData {
  const buffer = new ArrayBuffer(end - begin);
  readInto(new Uint8Array(buffer), start + begin);
  if (!isHalf(dtype)) return new types[dtype](buffer);
  const toNumber = halves[dtype];
  return Float32Array.from(new Uint16Array(buffer), (bits) => toNumber(bits));
}

function isHalf(dtype: TypeName | HalfName): dtype is HalfName {
  return Object.hasOwn(halves, dtype);
}

interface Header {
  /** Where the data begin. */
  readonly start: number;
  readonly described: ReadonlyMap<string, Description>;
  readonly metadata: SafetensorsFile['metadata'];
}

function parseHeader({ size, label, read }: ByteSource): Header {
  const broken = (fact: string): LowrankError =>
    new LowrankError('FORMAT', fact, { place: label, remedy: 'the file is damaged: use another' });
  if (size < 8) throw broken(`${size} bytes are no safetensors file`);
  const headerLength = Number(Buffer.from(read(0, 8)).readBigUInt64LE());
  if (headerLength > largestHeader || headerLength + 8 > size) {
    throw broken(`a header of ${headerLength} bytes in a file of ${size}`);
  }
  const start = 8 + headerLength;
  const available = size - start;
  const json = Buffer.from(read(8, start)).toString('utf8');
  let header: unknown;
  try {
    header = JSON.parse(json);
  } catch (error) {
    if (error instanceof LowrankError) throw error;
    throw broken('the header is no JSON');
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) throw broken('the header is no object');
  const repeated = repeatedKey(json);
  if (repeated !== undefined) throw broken(`the header has '${repeated}' twice`);
  const described = new Map<string, Description>();
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') {
      if (!isTexts(entry)) throw broken('the metadata are no texts');
      metadata = entry;
      continue;
    }
    const foreign = (entry as { readonly dtype?: unknown } | null)?.dtype;
    if (typeof foreign === 'string' && otherTypes.has(foreign)) {
      throw new LowrankError('UNSUPPORTED', `tensor '${name}' is of type ${foreign}`, {
        place: label,
        remedy: 'save its numbers as float32',
      });
    }
    const description = describe(entry);
    if (description === undefined) throw broken(`tensor '${name}' is not described`);
    const { dtype, shape, begin, end } = description;
    if (end > available || shape.reduce((product, dim) => product * dim, 1) * bytesOf(dtype) !== end - begin) {
      throw broken(`tensor '${name}' ${dtype} [${shape.join(', ')}] at ${begin} to ${end} of ${available} bytes`);
    }
    described.set(name, description);
  }
  let covered = 0;
  for (const [name, { begin, end }] of [...described].toSorted(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
    if (begin < covered) throw broken(`tensor '${name}' begins at ${begin}, inside another, which ends at ${covered}`);
    if (begin > covered) throw broken(`bytes ${covered} to ${begin} belong to no tensor`);
    covered = end;
  }
  if (covered < available) throw broken(`bytes ${covered} to ${available} belong to no tensor`);
  return { start, described, metadata };
}

function bytesOf(dtype: TypeName | HalfName): number {
  return isHalf(dtype) ? bytesOfHalf : types[dtype].BYTES_PER_ELEMENT;
}

/** A key of the outermost object of valid JSON that is there twice: JSON.parse takes the last one without a word. */
function repeatedKey(json: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  for (let at = 0; at < json.length; at++) {
    const sign = json[at];
    if (sign === '{' || sign === '[') depth += 1;
    else if (sign === '}' || sign === ']') depth -= 1;
    if (sign !== '"') continue;
    const start = at;
    for (at += 1; json[at] !== '"'; at++) if (json[at] === '\\') at += 1;
    if (depth !== 1 || !/^\s*:/.test(json.slice(at + 1, at + 100))) continue;
    const key = JSON.parse(json.slice(start, at + 1)) as string;
    if (seen.has(key)) return key;
    seen.add(key);
  }
  return undefined;
}

function isTexts(value: unknown): value is Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((text) => typeof text === 'string');
}

interface Description {
  readonly dtype: TypeName | HalfName;
  readonly shape: number[];
  readonly begin: number;
  readonly end: number;
}

function describe(entry: unknown): Description | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined;
  const { dtype, shape, data_offsets: offsets } = entry as Record<string, unknown>;
  const areCounts = (list: unknown): list is number[] =>
    Array.isArray(list) && list.every((item) => Number.isSafeInteger(item) && (item as number) >= 0);
  const isKnown = typeof dtype === 'string' && (Object.hasOwn(types, dtype) || Object.hasOwn(halves, dtype));
  if (!isKnown || !areCounts(shape) || !areCounts(offsets)) return undefined;
  if (offsets.length !== 2 || offsets[1]! < offsets[0]!) return undefined;
  return { dtype: dtype as Description['dtype'], shape, begin: offsets[0]!, end: offsets[1]! };
}
