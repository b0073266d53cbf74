import { type ByteRange, memorySource } from '../onnx/source.js';
import { type Message, TensorProto } from '../onnx/proto.js';
import { type ExternalResolver, Tensor } from '../onnx/tensor.js';

/**
 * An attribute's value. Integers beyond 2^53 (such as the "to the end" of Slice) are rounded here; an attribute that is
 * not replaced is written back exactly as it was read.
 */
export type Attribute =
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'int'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'tensor'; readonly value: Tensor }
  | { readonly type: 'graph'; readonly value: Message }
  | { readonly type: 'floats'; readonly value: readonly number[] }
  | { readonly type: 'ints'; readonly value: readonly number[] }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'graphs'; readonly value: readonly Message[] }
  /** A reference to a function's attribute, sparse tensors, types and what newer versions add. */
  | { readonly type: 'other'; readonly value: Message };

const utf8 = (bytes: unknown): string => Buffer.from(bytes as Uint8Array).toString('utf8');
const numbers = (values: unknown): number[] => (values as unknown[]).map((value) => Number(value));

/** AttributeProto.type codes. IR versions before 3 leave the type out; the field that is set tells it then. */
function typeCode(message: Message): number {
  const declared = Number(message['type'] ?? 0);
  if (declared !== 0) return declared;
  const has = (key: string): boolean => Object.hasOwn(message, key) && message[key] !== null;
  const filled = (key: string): boolean => has(key) && (message[key] as unknown[]).length > 0;
  if (has('f')) return 1;
  if (has('i')) return 2;
  if (has('s')) return 3;
  if (has('t')) return 4;
  if (has('g')) return 5;
  if (filled('floats')) return 6;
  if (filled('ints')) return 7;
  if (filled('strings')) return 8;
  return 0;
}

/** The typed value of a decoded AttributeProto. */
export function readAttribute(message: Message, resolve: ExternalResolver): Attribute {
  if (String(message['ref_attr_name'] ?? '') !== '') return { type: 'other', value: message };
  switch (typeCode(message)) {
    case 1:
      return { type: 'float', value: Number(message['f'] ?? 0) };
    case 2:
      return { type: 'int', value: Number(message['i'] ?? 0) };
    case 3:
      return { type: 'string', value: utf8(message['s'] ?? new Uint8Array()) };
    case 4:
      return { type: 'tensor', value: tensorOf(message['t'] as Message, resolve) };
    case 5:
      return { type: 'graph', value: message['g'] as Message };
    case 6:
      return { type: 'floats', value: numbers(message['floats']) };
    case 7:
      return { type: 'ints', value: numbers(message['ints']) };
    case 8:
      return { type: 'strings', value: (message['strings'] as unknown[]).map(utf8) };
    case 10:
      return { type: 'graphs', value: message['graphs'] as Message[] };
    default:
      return { type: 'other', value: message };
  }
}

function tensorOf(message: Message, resolve: ExternalResolver): Tensor {
  const bytes = TensorProto.encode(message);
  const range: ByteRange = { source: memorySource(bytes, 'tensor attribute'), start: 0, end: bytes.length };
  return Tensor.read(range, resolve);
}

/** The AttributeProto of a new value. */
export function writeAttribute(name: string, attribute: Attribute): Message {
  switch (attribute.type) {
    case 'float':
      return { name, type: 1, f: attribute.value };
    case 'int':
      return { name, type: 2, i: attribute.value };
    case 'string':
      return { name, type: 3, s: Buffer.from(attribute.value, 'utf8') };
    case 'tensor': {
      const chunks = attribute.value.encode();
      const bytes = chunks.map((chunk) =>
        chunk instanceof Uint8Array ? chunk : chunk.source.read(chunk.start, chunk.end),
      );
      return { name, type: 4, t: TensorProto.decode(Buffer.concat(bytes)) };
    }
    case 'graph':
      return { name, type: 5, g: attribute.value };
    case 'floats':
      return { name, type: 6, floats: attribute.value };
    case 'ints':
      return { name, type: 7, ints: attribute.value };
    case 'strings':
      return { name, type: 8, strings: attribute.value.map((value) => Buffer.from(value, 'utf8')) };
    case 'graphs':
      return { name, type: 10, graphs: attribute.value };
    case 'other':
      return { ...attribute.value, name };
  }
}
