import { closeSync, readSync } from 'node:fs';
import { LowrankError } from '../errors.js';
import { float16ToNumber } from '../float16.js';
import { openRegular, readRegular, unreadable } from './regular.js';

/**
 * Arrays of NumPy's .npy files, versions 1.0 to 3.0 (numpy.lib.format): magic, version, the length of the header, the header
 * as a Python literal, then the numbers. Pickled objects are never read.
 */

/** NumPy's names of the types that are read. */
export type ArrayType = keyof typeof types;

export interface NpyHeader {
  readonly type: ArrayType;
  readonly isBigEndian: boolean;
  readonly dims: readonly number[];
  /** Where the numbers begin. */
  readonly start: number;
}

type Numbers =
  Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | BigUint64Array | BigInt64Array;

/** By their code in a header, without the order of bytes. */
const types = {
  bool: { code: 'b1', bytes: 1, of: Uint8Array },
  uint8: { code: 'u1', bytes: 1, of: Uint8Array },
  int8: { code: 'i1', bytes: 1, of: Int8Array },
  uint16: { code: 'u2', bytes: 2, of: Uint16Array },
  int16: { code: 'i2', bytes: 2, of: Int16Array },
  uint32: { code: 'u4', bytes: 4, of: Uint32Array },
  int32: { code: 'i4', bytes: 4, of: Int32Array },
  uint64: { code: 'u8', bytes: 8, of: BigUint64Array },
  int64: { code: 'i8', bytes: 8, of: BigInt64Array },
  float16: { code: 'f2', bytes: 2, of: Uint16Array },
  float32: { code: 'f4', bytes: 4, of: Float32Array },
  float64: { code: 'f8', bytes: 8, of: Float64Array },
} as const;

const magic = '\x93NUMPY';
/** A header of plain numbers has about 100 bytes. */
const mostHeader = 65_536;

/** Whether bytes begin as an .npy file does. */
export function isNpy(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(6, bytes.length)).toString('latin1') === magic;
}

/** Bytes of a number. */
export function bytesOf(type: ArrayType): number {
  return types[type].bytes;
}

/**
 * The header of an .npy file of which `bytes` are the beginning. Throws FORMAT where it is none, UNSUPPORTED for arrays of objects,
 * texts, complex numbers or records, and in Fortran order.
 */
export function npyHeader(bytes: Uint8Array, place?: string): NpyHeader {
  const fail = (fact: string, remedy = 'write it again with numpy.save'): never => {
    throw new LowrankError('FORMAT', fact, { ...at(place), remedy });
  };
  if (!isNpy(bytes)) fail('it is no .npy file: it does not begin with \\x93NUMPY');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12) fail('the file is cut in its header');
  const version = bytes[6]!;
  if (version < 1 || version > 3) fail(`it is of version ${version}.${bytes[7]!} of the format, and 1 to 3 are known`);
  const [from, length] = version === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  if (length > mostHeader) fail(`its header has ${length} bytes`);
  if (bytes.length < from + length) fail('the file is cut in its header');
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + from, length).toString('latin1');
  const { type, isBigEndian } = typeOf(entry(text, /'descr'\s*:\s*('[^']*'|"[^"]*"|\[.*?\]\s*(?=[,}]))/s, fail), place);
  const isFortran = entry(text, /'fortran_order'\s*:\s*(True|False)\s*[,}]/, fail) === 'True';
  const shape = entry(text, /'shape'\s*:\s*\(((?:\s*\d+L?\s*,)*\s*(?:\d+L?)?\s*)\)/, fail);
  const dims = shape.split(',').flatMap((word) => (word.trim() === '' ? [] : [Number(word.replace('L', ''))]));
  if (isFortran && dims.filter((dim) => dim !== 1).length > 1) {
    throw new LowrankError('UNSUPPORTED', 'the array is in Fortran order', {
      ...at(place),
      remedy: 'write it with numpy.save(path, numpy.ascontiguousarray(array))',
    });
  }
  const size = dims.reduce((product, dim) => product * dim, types[type].bytes);
  if (!Number.isSafeInteger(size)) fail(`its shape is [${dims.join(', ')}], which no file holds`);
  return { type, isBigEndian, dims, start: from + length };
}

function at(place: string | undefined): { readonly place?: string } {
  return place === undefined ? {} : { place };
}

function entry(text: string, form: RegExp, fail: (fact: string) => never): string {
  return form.exec(text)?.[1] ?? fail('its header is none of numpy: descr, fortran_order and shape are to be in it');
}

function typeOf(
  descriptor: string,
  place: string | undefined,
): { readonly type: ArrayType; readonly isBigEndian: boolean } {
  const [order, code] = [descriptor[1], descriptor.slice(2, -1)];
  const found = (Object.keys(types) as ArrayType[]).find((type) => types[type].code === code);
  if (found !== undefined && (types[found].bytes === 1 ? /[<>=|]/ : /[<>=]/).test(order!)) {
    return { type: found, isBigEndian: order === '>' && types[found].bytes > 1 };
  }
  const what = /^.\|?O/.test(descriptor)
    ? 'pickled Python objects, which are never read'
    : `numbers of type ${descriptor}`;
  throw new LowrankError('UNSUPPORTED', `the array holds ${what.slice(0, 120)}`, {
    ...at(place),
    remedy: 'write it as uint8, int16, uint16, float16, float32 or float64',
  });
}

/** The header of a file, of which no more is read. Throws INPUT where it cannot be read, and what `npyHeader` throws. */
export function readNpyHeader(path: string): NpyHeader & { readonly fileBytes: number } {
  const { fd, size } = openRegular(path);
  try {
    const bytes = Buffer.alloc(Math.min(size, 2 * mostHeader));
    const count = readSync(fd, bytes, 0, bytes.length, 0);
    return { ...npyHeader(bytes.subarray(0, count), path), fileBytes: size };
  } catch (error) {
    throw error instanceof LowrankError ? error : unreadable(path, error, 'file');
  } finally {
    closeSync(fd);
  }
}

/** The shape and the numbers of a small file. Throws INPUT where it cannot be read, and what `npyHeader` and `npyNumbers` throw. */
export function readNpy(path: string): { readonly dims: readonly number[]; readonly numbers: readonly number[] } {
  const bytes = readRegular(path);
  const header = npyHeader(bytes, path);
  return {
    dims: header.dims,
    numbers: Array.from(npyNumbers(header, bytes, path) as ArrayLike<number | bigint>, Number),
  };
}

/** Throws FORMAT where a file of so many bytes holds fewer or more numbers than its header says. */
export function checkLength({ type, dims, start }: NpyHeader, length: number, place?: string): void {
  const end = dims.reduce((product, dim) => product * dim, types[type].bytes) + start;
  if (length === end) return;
  const fact =
    length < end
      ? `the file is cut: [${dims.join(', ')}] of ${type} and a header are ${end} bytes, and it has ${length}`
      : `the file has ${length} bytes, more than its header says: [${dims.join(', ')}] of ${type}`;
  throw new LowrankError('FORMAT', fact, { ...at(place), remedy: 'write it again with numpy.save' });
}

/** The numbers of a whole file behind its header, in memory of their own; float16 as numbers. Throws FORMAT (`checkLength`). */
export function npyNumbers(
  header: NpyHeader,
  bytes: Uint8Array,
  place?: string,
): Numbers | Float32Array | Float64Array {
  checkLength(header, bytes.length, place);
  const { type, isBigEndian, start } = header;
  const own = Buffer.alloc(bytes.length - start);
  own.set(bytes.subarray(start));
  const { bytes: size, of } = types[type];
  if (isBigEndian) ({ 1: () => own, 2: () => own.swap16(), 4: () => own.swap32(), 8: () => own.swap64() })[size]();
  const numbers = new of(own.buffer, own.byteOffset, own.length / size);
  return type === 'float16' ? Float32Array.from(numbers as Uint16Array, float16ToNumber) : numbers;
}

/** A file of one array of these bytes, of version 1.0. */
export function npyFile({ type, isBigEndian, dims }: Omit<NpyHeader, 'start'>, data: Uint8Array): Uint8Array {
  const order = types[type].bytes === 1 ? '|' : isBigEndian ? '>' : '<';
  const shape = dims.length === 1 ? `${dims[0]!},` : dims.join(', ');
  const text = `{'descr': '${order}${types[type].code}', 'fortran_order': False, 'shape': (${shape}), }`;
  // numpy ends the header at a multiple of 64.
  const length = Math.ceil((10 + text.length + 1) / 64) * 64 - 10;
  const head = Buffer.from(`${magic}\x01\x00\0\0${text.padEnd(length - 1)}\n`, 'latin1');
  head.writeUInt16LE(length, 8);
  return Buffer.concat([head, data]);
}
