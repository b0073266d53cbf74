import { ModelProto, type Message } from '../../src/onnx/proto.js';

/** `TensorProto.DataType`. */
export const DATA_TYPES = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
} as const;

export type TestType = keyof typeof DATA_TYPES;

/** A graph input or output. A text in `dims` is a symbolic dimension; without `dims` no shape is declared. */
export interface TestValue {
  readonly name: string;
  readonly type?: TestType;
  readonly dims?: readonly (number | string)[];
}

export interface TestInitializer {
  readonly name: string;
  readonly type?: TestType;
  readonly dims: readonly number[];
  /** Raw little-endian data, or where it lies outside the model. */
  readonly data: ArrayBufferView | { readonly location: string; readonly length: number };
}

/** Numbers become INT or INTS; a Float32Array FLOATS; {float} FLOAT; a text STRING; an initializer TENSOR. */
export type TestAttribute =
  number | readonly number[] | Float32Array | { readonly float: number } | string | TestInitializer;

export interface TestNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly name?: string;
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, TestAttribute>>;
}

export interface TestModel {
  readonly inputs: readonly TestValue[];
  readonly outputs: readonly TestValue[];
  readonly nodes: readonly TestNode[];
  readonly initializers?: readonly TestInitializer[];
  readonly opset?: number;
  readonly irVersion?: number;
}

/** The bytes of an ONNX model; the default type is float32, the default opset 18. */
export function buildModel(model: TestModel): Uint8Array {
  return ModelProto.encode({
    ir_version: model.irVersion ?? 9,
    producer_name: 'lowrank-test',
    opset_import: [{ domain: '', version: model.opset ?? 18 }],
    graph: {
      name: 'test',
      input: model.inputs.map(valueInfo),
      output: model.outputs.map(valueInfo),
      initializer: (model.initializers ?? []).map(tensor),
      node: model.nodes.map((node) => ({
        op_type: node.op,
        input: node.inputs,
        output: node.outputs,
        name: node.name ?? '',
        domain: node.domain ?? '',
        attribute: Object.entries(node.attributes ?? {}).map(([name, value]) => attribute(name, value)),
      })),
    },
  });
}

function valueInfo({ name, type = 'float32', dims }: TestValue): Message {
  const shape =
    dims === undefined
      ? {}
      : { shape: { dim: dims.map((dim) => (typeof dim === 'string' ? { dim_param: dim } : { dim_value: dim })) } };
  return { name, type: { tensor_type: { elem_type: DATA_TYPES[type], ...shape } } };
}

function tensor({ name, type = 'float32', dims, data }: TestInitializer): Message {
  const head = { name, data_type: DATA_TYPES[type], dims };
  if (ArrayBuffer.isView(data)) {
    return { ...head, raw_data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
  }
  const external_data = [
    { key: 'location', value: data.location },
    { key: 'offset', value: '0' },
    { key: 'length', value: String(data.length) },
  ];
  return { ...head, data_location: 1, external_data };
}

function attribute(name: string, value: TestAttribute): Message {
  if (typeof value === 'number') return { name, type: 2, i: value };
  if (typeof value === 'string') return { name, type: 3, s: Buffer.from(value) };
  if (value instanceof Float32Array) return { name, type: 6, floats: [...value] };
  if (Array.isArray(value)) return { name, type: 7, ints: value };
  if ('float' in value) return { name, type: 1, f: value.float };
  return { name, type: 4, t: tensor(value as TestInitializer) };
}

/** One node of one input `x` and one output `y` of the same type. */
export function unaryModel(
  op: string,
  type: TestType = 'float32',
  dims: readonly (number | string)[] = ['n'],
): Uint8Array {
  return buildModel({
    inputs: [{ name: 'x', type, dims }],
    outputs: [{ name: 'y', type, dims }],
    nodes: [{ op, inputs: ['x'], outputs: ['y'] }],
  });
}

/**
 * y = x · w^depth, x rows×n and w n×n: a chain of GEMMs that takes as long as one likes (2 · rows · n² · depth
 * floating-point operations). `w` is an input, so that onnxruntime packs it for no node.
 */
export function gemmChain(depth: number): Uint8Array {
  const names = Array.from({ length: depth + 1 }, (_, index) =>
    index === 0 ? 'x' : index === depth ? 'y' : `h${index}`,
  );
  return buildModel({
    inputs: [
      { name: 'x', dims: ['rows', 'n'] },
      { name: 'w', dims: ['n', 'n'] },
    ],
    outputs: [{ name: 'y', dims: ['rows', 'n'] }],
    nodes: names
      .slice(1)
      .map((output, index) => ({ op: 'MatMul', inputs: [names[index] ?? '', 'w'], outputs: [output] })),
  });
}
