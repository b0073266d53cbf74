import { LowrankError } from '../errors.js';
import type { Budget } from '../onnx/budget.js';
import { AttributeProto } from '../onnx/proto.js';
import { countElements, readFloats, readIntegers } from '../onnx/repeated.js';
import type { ByteRange } from '../files/source.js';
import { type ExternalResolver, Tensor } from '../onnx/tensor.js';
import { textOf } from '../onnx/text.js';
import { delimited, fields, readVarint, text, type WireField } from '../onnx/wire.js';
import type { Chunk } from '../files/chunk.js';

/**
 * An attribute's value. Integers beyond 2^53 (such as the "to the end" of Slice) are rounded here; an attribute that is
 * not replaced is written back exactly as it was read. Large data stays in the file.
 */
export type Attribute =
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'int'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'tensor'; readonly value: Tensor }
  /** A body of If, Loop or Scan: its GraphProto. */
  | { readonly type: 'graph'; readonly value: ByteRange }
  | { readonly type: 'floats'; readonly value: readonly number[] }
  | { readonly type: 'ints'; readonly value: readonly number[] }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'graphs'; readonly value: readonly ByteRange[] }
  /** A reference to a function's attribute, sparse tensors, types and what newer versions add: its AttributeProto. */
  | { readonly type: 'other'; readonly value: ByteRange };

/** Field numbers of AttributeProto with their wire types. */
const layout = {
  name: [1, 2],
  f: [2, 5],
  i: [3, 0],
  s: [4, 2],
  t: [5, 2],
  g: [6, 2],
  floats: [7, 5],
  ints: [8, 0],
  strings: [9, 2],
  graphs: [11, 2],
  type: [20, 0],
  refAttrName: [21, 2],
} as const;

/** Elements of a list of numbers in one item of the budget. */
const numbersEach = 8;

/** AttributeProto.AttributeType. */
const codes = { float: 1, int: 2, string: 3, tensor: 4, graph: 5, floats: 6, ints: 7, strings: 8, graphs: 10 } as const;

/** The name and the typed value of an AttributeProto. Throws FORMAT, EXTERNAL_DATA, UNSUPPORTED where the budget is spent. */
export function readAttribute(
  range: ByteRange,
  resolve: ExternalResolver,
  budget: Budget,
): { readonly name: string; readonly attribute: Attribute } {
  const { source } = range;
  const found = new Map<number, ByteRange[]>();
  const lists = new Set<number>([layout.floats[0], layout.ints[0]]);
  for (const field of fields(range)) {
    if (!isKnown(field)) continue;
    const place = { source, start: field.payload, end: field.end };
    const list = found.get(field.number);
    if (list === undefined) found.set(field.number, [place]);
    // Lists of numbers may have a field for each; that there are some is enough here.
    else if (!lists.has(field.number)) {
      budget(1);
      list.push(place);
    }
  }
  const last = ([number]: readonly [number, number]): ByteRange | undefined => found.get(number)?.at(-1);
  const all = ([number]: readonly [number, number]): ByteRange[] => found.get(number) ?? [];
  const nameRange = last(layout.name);
  const name = nameRange === undefined ? '' : textOf(nameRange);
  const only = (field: readonly [number, number], what: string): ByteRange => {
    const ranges = all(field);
    if (ranges.length === 1) return ranges[0]!;
    throw new LowrankError('FORMAT', `attribute '${name}' holds ${ranges.length} ${what} where there must be one`, {
      place: `${source.label} at byte ${range.start}`,
      remedy: 'export the model again',
    });
  };
  const floats = ([number]: readonly [number, number]): number[] => {
    budget(countElements(range, number, 'fixed32') / numbersEach);
    return readFloats(range, number);
  };
  const integers = ([number]: readonly [number, number]): number[] => {
    budget(countElements(range, number, 'varint') / numbersEach);
    return readIntegers(range, number);
  };
  const read = (): Attribute => {
    const reference = last(layout.refAttrName);
    if (reference !== undefined && reference.end > reference.start) return { type: 'other', value: range };
    const typeRange = last(layout.type);
    const declared = typeRange === undefined ? 0 : readVarint(typeRange);
    switch (declared === 0 ? guessType(found) : declared) {
      case codes.float:
        return { type: 'float', value: floats(layout.f).at(-1) ?? 0 };
      case codes.int:
        return { type: 'int', value: integers(layout.i).at(-1) ?? 0 };
      case codes.string: {
        const string = last(layout.s);
        return { type: 'string', value: string === undefined ? '' : textOf(string) };
      }
      case codes.tensor:
        return { type: 'tensor', value: Tensor.read(only(layout.t, 'tensors'), resolve) };
      case codes.graph:
        return { type: 'graph', value: only(layout.g, 'graphs') };
      case codes.floats:
        return { type: 'floats', value: floats(layout.floats) };
      case codes.ints:
        return { type: 'ints', value: integers(layout.ints) };
      case codes.strings:
        return { type: 'strings', value: all(layout.strings).map(textOf) };
      case codes.graphs:
        return { type: 'graphs', value: all(layout.graphs) };
      default:
        return { type: 'other', value: range };
    }
  };
  return { name, attribute: read() };
}

/** The name alone. */
export function attributeName(range: ByteRange): string {
  let name = '';
  for (const { number, wireType, payload, end } of fields(range)) {
    if (number === layout.name[0] && wireType === 2) name = textOf({ source: range.source, start: payload, end });
  }
  return name;
}

const wireTypeOf = new Map<number, number>(Object.values(layout));

function isKnown({ number, wireType }: WireField): boolean {
  const expected = wireTypeOf.get(number);
  const isPacked = wireType === 2 && (number === layout.floats[0] || number === layout.ints[0]);
  return expected !== undefined && (wireType === expected || isPacked);
}

/** IR versions before 3 leave the type out; the field that is set tells it then. */
function guessType(found: ReadonlyMap<number, unknown>): number {
  const order: [keyof typeof layout, number][] = [
    ['f', codes.float],
    ['i', codes.int],
    ['s', codes.string],
    ['t', codes.tensor],
    ['g', codes.graph],
    ['floats', codes.floats],
    ['ints', codes.ints],
    ['strings', codes.strings],
  ];
  return order.find(([field]) => found.has(layout[field][0]))?.[1] ?? 0;
}

/** The AttributeProto of a value under a name, tensor data inside. */
export function writeAttribute(name: string, attribute: Attribute): Chunk[] {
  const { type } = attribute;
  const encode = (fieldsOf: Record<string, unknown>): Chunk[] => {
    const code = type === 'other' ? {} : { type: codes[type] };
    return [AttributeProto.encode({ name, ...code, ...fieldsOf })];
  };
  switch (type) {
    case 'float':
      return encode({ f: attribute.value });
    case 'int':
      return encode({ i: attribute.value });
    case 'string':
      return encode({ s: Buffer.from(attribute.value, 'utf8') });
    case 'tensor':
      return [...encode({}), ...delimited(layout.t[0], attribute.value.encodeInline())];
    case 'graph':
      return [...encode({}), ...delimited(layout.g[0], [attribute.value])];
    case 'floats':
      return encode({ floats: attribute.value });
    case 'ints':
      return encode({ ints: attribute.value });
    case 'strings':
      return encode({ strings: attribute.value.map((value) => Buffer.from(value, 'utf8')) });
    case 'graphs':
      return [...encode({}), ...attribute.value.flatMap((body) => delimited(layout.graphs[0], [body]))];
    case 'other': {
      const { source } = attribute.value;
      const kept = [...fields(attribute.value)].filter(({ number }) => number !== layout.name[0]);
      return [text(layout.name[0], name), ...kept.map(({ start, end }) => ({ source, start, end }))];
    }
  }
}
