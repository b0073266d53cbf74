import type { OpenFile } from '../files.js';
import { decompress } from './decompress.js';
import type { ColumnChunk, FileMetaData, RowGroup, SchemaElement } from './footer.js';
import { cursorOf, readHybrid } from './hybrid.js';
import { readStruct, type ThriftStruct } from './thrift.js';
import { convert, encodings, readValues, type Values } from './values.js';

/** A leaf of the schema: what its values are, and how many levels above it may be missing or repeated. */
export interface Leaf {
  readonly path: readonly string[];
  readonly element: SchemaElement;
  readonly definitions: number;
  readonly repetitions: number;
}

/** The leaves of a column: itself, or those of a group. */
export function leavesOf({ schema }: FileMetaData, column: string): readonly Leaf[] {
  const leaves: Leaf[] = [];
  let at = 1;
  const walk = (path: readonly string[], definitions: number, repetitions: number): void => {
    const element = schema[at++]!;
    const own = [...path, element.name];
    const defined = definitions + (element.repetition === 'required' ? 0 : 1);
    const repeated = repetitions + (element.repetition === 'repeated' ? 1 : 0);
    if (element.num_children === 0) leaves.push({ path: own, element, definitions: defined, repetitions: repeated });
    for (let child = 0; child < element.num_children; child++) walk(own, defined, repeated);
  };
  while (at < schema.length) walk([], 0, 0);
  return leaves.filter(({ path }) => path[0] === column);
}

/** What a chunk may expand to: twice its file, and what small files need. */
const alwaysAllowed = 2 ** 26;
const largestHeader = 2 ** 24;
/** Of lists, however few the rows are. */
const fewValues = 2 ** 19;
const mostHeaderValues = 1000;
const [dataPage, dictionaryPage, dataPageV2] = [0, 2, 3];

/**
 * The values of a leaf in a row group: one for each row, null where it is missing, a list where the leaf is repeated. No
 * size or count of the file is believed before it has been compared with the bytes and rows that there are. Throws an Error
 * that says what is wrong.
 */
export function readColumn(file: OpenFile, group: RowGroup, leaf: Leaf): unknown[] {
  const chunk = group.columns.find(({ path }) => path.join('.') === leaf.path.join('.'));
  if (chunk === undefined) throw new RangeError(`a row group lacks column '${leaf.path.join('.')}'`);
  if (leaf.repetitions > 1) throw new RangeError(`column '${leaf.path.join('.')}' holds lists of lists`);
  const rows: unknown[] = [];
  let dictionary: Values | undefined;
  const mostValues = leaf.repetitions === 0 ? group.num_rows : Math.max(group.num_rows, fewValues);
  for (const page of pagesOf(file, chunk, mostValues)) {
    if (page.kind === dictionaryPage) {
      const { element } = leaf;
      dictionary = readValues(page.bytes, encodings.plain, page.values, { element, dictionary: undefined, most: 0 });
      if (element.isText) dictionary = Array.from(dictionary, (value) => convert(value, element));
    } else addRows(rows, page, leaf, dictionary, file.size);
    if (rows.length > group.num_rows) throw new RangeError(`a row group has more than its ${group.num_rows} rows`);
    if (rows.length === group.num_rows && leaf.repetitions === 0) break;
  }
  if (rows.length < group.num_rows)
    throw new RangeError(`a row group has ${rows.length} of its ${group.num_rows} rows`);
  return rows;
}

interface Page {
  readonly kind: number;
  readonly encoding: number;
  /** Nulls included. */
  readonly values: number;
  /** What it holds, not compressed: the levels of pages of version 2 are apart. */
  readonly bytes: Uint8Array;
  readonly levels: { readonly repetition: Uint8Array; readonly definition: Uint8Array } | undefined;
}

function* pagesOf(file: OpenFile, chunk: ColumnChunk, mostValues: number): Generator<Page> {
  const most = 2 * file.size + alwaysAllowed;
  let [total, values] = [0, 0];
  for (let at = chunk.start; at < chunk.end;) {
    const { header, end } = pageHeader(file, at, chunk.end);
    const kind = number(header, 1, 'kind of a page');
    const size = number(header, 2, 'size of a page');
    const compressed = number(header, 3, 'compressed size of a page');
    if (end + compressed > chunk.end) {
      throw new RangeError(`a page claims ${compressed} bytes where ${chunk.end - end} are left`);
    }
    total += size;
    if (total > most) throw new RangeError(`a column claims to expand to ${total} bytes, in a file of ${file.size}`);
    at = end + compressed;
    const details = header.get({ [dataPage]: 5, [dictionaryPage]: 7, [dataPageV2]: 8 }[kind] ?? 0);
    if (!(details instanceof Map)) continue;
    const fields = details as ThriftStruct;
    const count = number(fields, 1, 'number of values of a page');
    if (kind !== dictionaryPage) values += count;
    if (Math.max(values, count) > mostValues) {
      throw new RangeError(`a column claims ${Math.max(values, count)} values, where ${mostValues} are the most`);
    }
    const bytes = file.read(end, compressed);
    const encoding = kind === dictionaryPage ? encodings.plain : number(fields, kind === dataPage ? 2 : 4, 'encoding');
    const levels = kind === dataPageV2 ? levelsOf(bytes, fields) : undefined;
    const taken = levels === undefined ? 0 : levels.repetition.length + levels.definition.length;
    const isCompressed = kind !== dataPageV2 || fields.get(7) !== false;
    if (size < taken) throw new RangeError(`a page of ${size} bytes has ${taken} of levels`);
    const body = bytes.subarray(taken);
    yield {
      kind,
      encoding,
      values: count,
      bytes: isCompressed ? decompress(body, chunk.codec, size - taken) : body,
      levels,
    };
  }
}

function levelsOf(bytes: Uint8Array, fields: ThriftStruct): NonNullable<Page['levels']> {
  const definition = number(fields, 5, 'length of levels');
  const repetition = number(fields, 6, 'length of levels');
  if (definition + repetition > bytes.length) throw new RangeError('a page has less than its levels');
  return {
    repetition: bytes.subarray(0, repetition),
    definition: bytes.subarray(repetition, repetition + definition),
  };
}

/** Headers are small, but may hold the largest value of a page. */
function pageHeader(file: OpenFile, at: number, end: number): { readonly header: ThriftStruct; readonly end: number } {
  for (let length = Math.min(4096, end - at); ; length = Math.min(16 * length, end - at, largestHeader)) {
    try {
      const { value, end: behind } = readStruct(file.peek(at, length), 0, mostHeaderValues);
      return { header: value, end: at + behind };
    } catch (error) {
      if (length === Math.min(end - at, largestHeader)) throw error;
    }
  }
}

function addRows(rows: unknown[], page: Page, leaf: Leaf, dictionary: Values | undefined, fileSize: number): void {
  const { values: count, encoding } = page;
  const { levels } = page;
  let rest = page.bytes;
  /** Version 1 has the levels in front of the values, with their length. */
  const next = (own: Uint8Array | undefined, most: number): Uint32Array | undefined => {
    if (most === 0) return undefined;
    let bytes = own;
    if (bytes === undefined) {
      const length = rest.length < 4 ? Infinity : cursorOf(rest).view.getUint32(0, true);
      if (length > rest.length - 4) throw new RangeError(`a page claims ${length} bytes of levels`);
      bytes = rest.subarray(4, 4 + length);
      rest = rest.subarray(4 + length);
    }
    return readHybrid(cursorOf(bytes), 32 - Math.clz32(most), count);
  };
  const repetition = next(levels?.repetition, leaf.repetitions);
  const definition = next(levels?.definition, leaf.definitions);
  const present = definition?.reduce((sum, level) => sum + (level === leaf.definitions ? 1 : 0), 0) ?? count;
  const { element } = leaf;
  const values = readValues(rest, encoding, present, { element, dictionary, most: 2 * fileSize + alwaysAllowed });
  let taken = 0;
  for (let index = 0; index < count; index++) {
    const isPresent = definition === undefined || definition[index] === leaf.definitions;
    const value = isPresent ? convert(values[taken++], element) : null;
    if (leaf.repetitions === 0) rows.push(value);
    else {
      if (repetition![index] === 0) rows.push([]);
      const row = rows.at(-1);
      if (!Array.isArray(row)) throw new RangeError('a list goes on that was not begun');
      if (isPresent) row.push(value);
    }
  }
}

function number(fields: ThriftStruct, field: number, what: string): number {
  const value = fields.get(field);
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new RangeError(`the ${what} is ${typeof value === 'number' ? value : 'missing'}`);
}
