/**
 * Protobuf by hand, apart from the project's own encoder: what the tests read was written by other code.
 * Source: https://protobuf.dev/programming-guides/encoding/ and onnx.proto.
 */

/** Varint of a signed or unsigned 64-bit integer, as protobuf writes it: ten bytes where it is negative. */
export function vint(value: number | bigint): Buffer {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  while (rest >= 128n) {
    bytes.push(Number(rest % 128n) + 128);
    rest /= 128n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

/** A varint that takes more bytes than it needs, which protobuf allows. */
export function longVint(value: number, length: number): Buffer {
  const bytes = Array.from({ length }, (_, i) => (Math.floor(value / 128 ** i) % 128) | 0x80);
  bytes[length - 1]! &= 0x7f;
  return Buffer.from(bytes);
}

export function tag(number: number, wireType: number): Buffer {
  return vint(number * 8 + wireType);
}

export type Part = Uint8Array | readonly Part[];

export function flat(...parts: readonly Part[]): Buffer {
  return Buffer.concat(parts.map((part) => (part instanceof Uint8Array ? part : flat(...part))));
}

/** A length-delimited field. */
export function field(number: number, ...payload: readonly (Part | string)[]): Buffer {
  const bytes = flat(...payload.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  return flat(tag(number, 2), vint(bytes.length), bytes);
}

export function numberField(number: number, value: number | bigint): Buffer {
  return flat(tag(number, 0), vint(value));
}

export function floatField(number: number, value: number): Buffer {
  return flat(tag(number, 5), Buffer.from(new Float32Array([value]).buffer));
}

export function doubleField(number: number, value: number): Buffer {
  return flat(tag(number, 1), Buffer.from(new Float64Array([value]).buffer));
}

/** A group, which no ONNX message uses: an unknown field of wire types 3 and 4. */
export function group(number: number, ...content: readonly Part[]): Buffer {
  return flat(tag(number, 3), flat(...content), tag(number, 4));
}

// ModelProto, GraphProto and what is in them, fields in the order of their numbers.

export function tensorProto(name: string, dims: readonly number[], dataType: number, ...data: readonly Part[]): Buffer {
  return flat(
    dims.map((dim) => numberField(1, dim)),
    numberField(2, dataType),
    field(8, name),
    ...data,
  );
}

export const rawData = (bytes: Uint8Array): Buffer => field(9, bytes);

export function externalData(record: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(record).map(([key, value]) => field(13, field(1, key), field(2, value)));
  return flat(entries, numberField(14, 1));
}

export function valueInfoProto(name: string, dims: readonly (number | string)[], dataType = 1): Buffer {
  const shape = dims.map((dim) => field(1, typeof dim === 'number' ? numberField(1, dim) : field(2, dim)));
  return flat(field(1, name), field(2, field(1, numberField(1, dataType), field(2, shape))));
}

export interface NodeParts {
  readonly op: string;
  readonly inputs?: readonly string[];
  readonly outputs?: readonly string[];
  readonly name?: string;
  readonly domain?: string;
  /** AttributeProtos. */
  readonly attributes?: readonly Uint8Array[];
  readonly extra?: Part;
}

export function nodeProto({ op, inputs = [], outputs = [], name, domain, attributes = [], extra }: NodeParts): Buffer {
  return flat(
    inputs.map((input) => field(1, input)),
    outputs.map((output) => field(2, output)),
    name === undefined ? [] : field(3, name),
    field(4, op),
    attributes.map((attribute) => field(5, attribute)),
    domain === undefined ? [] : field(7, domain),
    extra ?? [],
  );
}

export interface GraphParts {
  readonly nodes?: readonly Uint8Array[];
  readonly initializers?: readonly Uint8Array[];
  readonly inputs?: readonly Uint8Array[];
  readonly outputs?: readonly Uint8Array[];
  readonly infos?: readonly Uint8Array[];
  readonly extra?: Part;
}

export function graphProto(parts: GraphParts): Buffer {
  return flat(
    (parts.nodes ?? []).map((node) => field(1, node)),
    field(2, 'graph'),
    (parts.initializers ?? []).map((tensor) => field(5, tensor)),
    (parts.inputs ?? []).map((input) => field(11, input)),
    (parts.outputs ?? []).map((output) => field(12, output)),
    (parts.infos ?? []).map((info) => field(13, info)),
    parts.extra ?? [],
  );
}

export interface ModelParts {
  readonly irVersion?: number;
  readonly opset?: number;
  readonly extra?: Part;
}

export function modelProto(graph: Uint8Array, { irVersion = 8, opset = 17, extra }: ModelParts = {}): Buffer {
  return flat(
    numberField(1, irVersion),
    field(2, 'lowrank-test'),
    field(7, graph),
    field(8, field(1, ''), numberField(2, opset)),
    extra ?? [],
  );
}

/** y = w + x for one tensor `w` of `dims`: the smallest model around a weight. */
export function modelAround(tensor: Uint8Array, dims: readonly number[] = [2]): Buffer {
  return modelProto(
    graphProto({
      nodes: [nodeProto({ op: 'Add', inputs: ['x', 'w'], outputs: ['y'], name: 'add' })],
      initializers: [tensor],
      inputs: [valueInfoProto('x', dims)],
      outputs: [valueInfoProto('y', dims)],
    }),
  );
}
