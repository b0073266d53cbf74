import { LowrankError, messageOf } from '../errors.js';
import { expand } from './expand.js';

/**
 * The part of MATLAB's level 5 MAT-files (MathWorks: MAT-File Format) that `meta.mat` of ILSVRC2012 needs: a structure array
 * `synsets` with a number `ILSVRC2012_ID` and a text `WNID` each.
 */

const types = {
  int8: 1,
  uint8: 2,
  int16: 3,
  uint16: 4,
  int32: 5,
  uint32: 6,
  single: 7,
  double: 9,
  matrix: 14,
  compressed: 15,
  utf8: 16,
  utf16: 17,
};
const structureClass = 2;
const headerBytes = 128;
/** The table has 1860 synsets of 8 fields. An empty element has 8 bytes, and takes twenty times as much in memory. */
const mostElements = 2 ** 17;
/** Of one file, one behind the other. */
const mostCompressed = 64;
const longestFieldName = 64;

interface Element {
  readonly type: number;
  readonly data: Buffer;
}

/** Data elements one after the other; a small one has its size and data in the tag itself. */
function* elements(bytes: Buffer): Generator<Element> {
  let at = 0;
  for (let count = 1; at + 8 <= bytes.length; count++) {
    if (count > mostElements) throw new RangeError(`it has more than ${mostElements} elements in one place`);
    const word = bytes.readUInt32LE(at);
    const isSmall = word >>> 16 !== 0;
    const size = isSmall ? word >>> 16 : bytes.readUInt32LE(at + 4);
    const start = isSmall ? at + 4 : at + 8;
    const type = isSmall ? word & 0xffff : word;
    if (start + size > bytes.length) throw new RangeError('an element is cut');
    yield { type, data: bytes.subarray(start, start + size) };
    const isPadded = type !== types.compressed && !isSmall;
    at = isSmall ? at + 8 : start + (isPadded ? Math.ceil(size / 8) * 8 : size);
  }
}

function numberOf({ type, data }: Element): number {
  if (data.length === 0) return Number.NaN;
  switch (type) {
    case types.int8:
      return data.readInt8(0);
    case types.uint8:
      return data.readUInt8(0);
    case types.int16:
      return data.readInt16LE(0);
    case types.uint16:
      return data.readUInt16LE(0);
    case types.int32:
      return data.readInt32LE(0);
    case types.uint32:
      return data.readUInt32LE(0);
    case types.single:
      return data.readFloatLE(0);
    case types.double:
      return data.readDoubleLE(0);
    default:
      return Number.NaN;
  }
}

function textOf({ type, data }: Element): string {
  return type === types.uint16 || type === types.utf16 ? data.toString('utf16le') : data.toString('utf8');
}

/** A matrix: flags, dimensions, name, and what follows. */
function matrixOf({ data }: Element): {
  readonly isStructure: boolean;
  readonly name: string;
  readonly rest: readonly Element[];
} {
  const [flags, , name, ...rest] = elements(data);
  return { isStructure: flags?.data[0] === structureClass, name: name === undefined ? '' : textOf(name), rest };
}

/** The synset of every number in `meta.mat`. Throws FORMAT where the file is not such a file. */
export function readSynsets(bytes: Uint8Array, place: string): ReadonlyMap<number, string> {
  try {
    return parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch (error) {
    throw new LowrankError('FORMAT', `meta.mat cannot be read: ${messageOf(error)}`, { place, cause: error });
  }
}

function parse(bytes: Buffer): ReadonlyMap<number, string> {
  if (bytes.toString('latin1', 126, 128) !== 'IM') throw new RangeError('it is no little-endian MAT-file of level 5');
  let compressed = 0;
  for (const element of elements(bytes.subarray(headerBytes))) {
    if (element.type === types.compressed) compressed += 1;
    if (compressed > mostCompressed) throw new RangeError(`it has more than ${mostCompressed} compressed elements`);
    const [matrix = element] = element.type === types.compressed ? elements(expand(element.data, 'zlib')) : [element];
    if (matrix.type !== types.matrix) continue;
    const { isStructure, name, rest } = matrixOf(matrix);
    if (isStructure && name === 'synsets') return synsetsOf(rest);
  }
  throw new RangeError("it has no structure 'synsets'");
}

/** The length of a field name, the names, then for every structure a matrix for every field. */
function synsetsOf([lengthElement, namesElement, ...values]: readonly Element[]): ReadonlyMap<number, string> {
  if (lengthElement === undefined || namesElement === undefined) throw new RangeError("'synsets' is cut");
  const length = numberOf(lengthElement);
  const count = namesElement.data.length / length;
  if (
    !Number.isInteger(length) ||
    length < 1 ||
    length > longestFieldName ||
    !Number.isInteger(count) ||
    count > 1000
  ) {
    throw new RangeError(`'synsets' has ${namesElement.data.length} bytes of field names, each of ${length}`);
  }
  const names = Array.from({ length: count }, (_, index) =>
    namesElement.data.toString('latin1', index * length, (index + 1) * length).replace(/\0.*$/s, ''),
  );
  const [idAt, synsetAt] = [names.indexOf('ILSVRC2012_ID'), names.indexOf('WNID')];
  if (idAt < 0 || synsetAt < 0) throw new RangeError("'synsets' has no fields ILSVRC2012_ID and WNID");
  const result = new Map<number, string>();
  for (let start = 0; start + count <= values.length; start += count) {
    const [id] = matrixOf(values[start + idAt]!).rest;
    const [synset] = matrixOf(values[start + synsetAt]!).rest;
    if (id !== undefined && synset !== undefined) result.set(numberOf(id), textOf(synset));
  }
  return result;
}
