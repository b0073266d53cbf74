import type { OpenFile } from '../files.js';
import { readStruct, type ThriftStruct, type ThriftValue } from './thrift.js';

/** Names as in parquet.thrift (github.com/apache/parquet-format), as far as images and labels need it. */
export interface SchemaElement {
  readonly name: string;
  /** Physical type; undefined for groups. */
  readonly type: number | undefined;
  readonly type_length: number;
  readonly repetition: 'required' | 'optional' | 'repeated';
  readonly num_children: number;
  readonly isText: boolean;
  readonly isUnsigned: boolean;
}

export interface ColumnChunk {
  readonly path: readonly string[];
  readonly codec: number;
  /** Its pages, in the file. */
  readonly start: number;
  readonly end: number;
}

export interface RowGroup {
  readonly columns: readonly ColumnChunk[];
  readonly total_byte_size: number;
  readonly num_rows: number;
}

export interface FileMetaData {
  /** A tree in pre-order: the root first, every element before its children. */
  readonly schema: readonly SchemaElement[];
  readonly row_groups: readonly RowGroup[];
  readonly key_value_metadata: readonly { readonly key: string; readonly value: string }[];
}

const magic = 'PAR1';
const largestFooter = 2 ** 26;
const deepestSchema = 32;
/** Values of a footer, and rows, that any file may have; one for every 64 bytes of a larger file. */
const fewValues = 2 ** 17;
const fewRows = 2 ** 19;
const bytesEach = 64;

/** The metadata at the end of a parquet file. Throws an Error that says what is wrong with the file. */
export function readFooter(file: OpenFile): FileMetaData {
  const end = Buffer.from(file.read(Math.max(0, file.size - 8), Math.min(8, file.size)));
  if (end.length < 8 || end.toString('latin1', 4) !== magic) throw new RangeError(`it does not end with ${magic}`);
  const length = end.readUInt32LE(0);
  if (length > file.size - 8) throw new RangeError(`its metadata has ${length} bytes in a file of ${file.size}`);
  if (length > largestFooter) throw new RangeError(`its metadata has ${length} bytes: more than ${largestFooter}`);
  const bytes = file.read(file.size - 8 - length, length);
  const { value } = readStruct(bytes, 0, Math.max(fewValues, Math.floor(file.size / bytesEach)));
  const schema = structs(value.get(2)).map(elementOf);
  checkTree(schema);
  const groups = structs(value.get(4)).map((group) => groupOf(group, file.size));
  const rows = groups.reduce((sum, { num_rows: count }) => sum + count, 0);
  if (rows > Math.max(fewRows, file.size / bytesEach)) {
    throw new RangeError(`it claims ${rows} rows in ${file.size} bytes`);
  }
  const pairs = structs(value.get(5)).map((pair) => ({ key: text(pair.get(1)), value: text(pair.get(2)) }));
  return { schema, row_groups: groups, key_value_metadata: pairs };
}

const repetitions = ['required', 'optional', 'repeated'] as const;
const [utf8, leastUnsigned, mostUnsigned] = [0, 11, 14];

function elementOf(fields: ThriftStruct): SchemaElement {
  const converted = fields.get(6);
  const logical = fields.get(10);
  const integer = logical instanceof Map ? (logical as ThriftStruct).get(10) : undefined;
  return {
    name: text(fields.get(4)),
    type: fields.has(1) ? count(fields.get(1), 'type') : undefined,
    type_length: fields.has(2) ? count(fields.get(2), 'length of values') : 0,
    repetition: repetitions[fields.has(3) ? count(fields.get(3), 'repetition') : 0] ?? 'required',
    num_children: fields.has(5) ? count(fields.get(5), 'number of children') : 0,
    isText: converted === utf8 || (logical instanceof Map && (logical as ThriftStruct).has(1)),
    isUnsigned:
      (typeof converted === 'number' && converted >= leastUnsigned && converted <= mostUnsigned) ||
      (integer instanceof Map && (integer as ThriftStruct).get(2) === false),
  };
}

/** Every element but the root is the child of one: then whoever walks the tree comes to its end. */
function checkTree(schema: readonly SchemaElement[]): void {
  const open: number[] = [];
  for (const [index, { num_children: children }] of schema.entries()) {
    if (index > 0) {
      while (open.at(-1) === 0) open.pop();
      if (open.length === 0) throw new RangeError('its schema has elements outside its tree');
      open[open.length - 1]! -= 1;
    }
    if (children > schema.length - index - 1) {
      throw new RangeError(
        `its schema claims ${children} children of an element where ${schema.length - index - 1} follow`,
      );
    }
    open.push(children);
    if (open.length > deepestSchema) throw new RangeError(`its schema is nested deeper than ${deepestSchema} levels`);
  }
  if (schema.length === 0 || open.some((left) => left > 0)) throw new RangeError('its schema is cut');
}

function groupOf(fields: ThriftStruct, size: number): RowGroup {
  return {
    columns: structs(fields.get(1)).map((chunk) => chunkOf(chunk, size)),
    total_byte_size: fields.has(2) ? count(fields.get(2), 'size of a row group') : 0,
    num_rows: count(fields.get(3), 'number of rows'),
  };
}

function chunkOf(fields: ThriftStruct, size: number): ColumnChunk {
  const metadata = fields.get(3);
  if (!(metadata instanceof Map)) throw new RangeError('it has a column without metadata');
  const meta = metadata as ThriftStruct;
  const path = meta.get(3);
  // Some writers give 0 where there is no dictionary.
  const dictionary = meta.has(11) ? count(meta.get(11), 'offset of a dictionary') : 0;
  const start = dictionary === 0 ? count(meta.get(9), 'offset of a column') : dictionary;
  const end = start + count(meta.get(7), 'size of a column');
  if (fields.has(1)) throw new RangeError('its columns lie in other files');
  if (end > size) throw new RangeError(`it has a column at bytes ${start} to ${end} of ${size}`);
  return { path: Array.isArray(path) ? path.map(text) : [], codec: count(meta.get(4), 'compression'), start, end };
}

function structs(value: ThriftValue | undefined): readonly ThriftStruct[] {
  return Array.isArray(value) ? value.filter((item): item is ThriftStruct => item instanceof Map) : [];
}

function text(value: ThriftValue | undefined): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : '';
}

function count(value: ThriftValue | undefined, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new RangeError(`the ${what} is ${typeof value === 'number' ? value : 'missing'}`);
}
