import { type Entry, graphFields, modelFields } from '../onnx/model-file.js';
import { type Message, OperatorSetIdProto, StringStringEntryProto, ValueInfoProto } from '../onnx/proto.js';
import type { Tensor } from '../onnx/tensor.js';
import { type Chunk, delimited, varint } from '../onnx/wire.js';
import type { Graph } from './graph.js';
import { metadataOf, type Model, opsetsOf } from './model.js';
import type { DeclaredType, Value } from './value.js';

/** How an initializer is written: inline, or as a reference into an external data file. */
export type TensorEncoder = (tensor: Tensor) => readonly Chunk[];

/**
 * The bytes of a model, as pieces in order. Whatever was not changed since reading is the original's bytes, in the
 * original's order: encoding an untouched model gives the file back byte for byte.
 */
export function encodeModel(model: Model, encodeTensor: TensorEncoder = (tensor) => tensor.encode()): Chunk[] {
  const replaced = new Map<number, Chunk[][]>();
  replaced.set(modelFields.graph, [delimited(modelFields.graph, encodeGraph(model.graph, encodeTensor))]);
  const { file } = model;
  const head = file?.head;
  if (head === undefined || !sameEntries(model.opsets, opsetsOf(head))) {
    const imports = [...model.opsets].map(([domain, version]) =>
      delimited(modelFields.opsetImport, [OperatorSetIdProto.encode({ domain, version })]),
    );
    replaced.set(modelFields.opsetImport, imports);
  }
  if (head === undefined || !sameEntries(model.metadata, metadataOf(head))) {
    const props = [...model.metadata].map(([key, value]) =>
      delimited(modelFields.metadataProps, [StringStringEntryProto.encode({ key, value })]),
    );
    replaced.set(modelFields.metadataProps, props);
  }
  if (head === undefined || Number(head['ir_version'] ?? 0) !== model.irVersion) {
    replaced.set(modelFields.irVersion, [[varint(modelFields.irVersion * 8), varint(model.irVersion)]]);
  }
  if (file === undefined) {
    replaced.set(2, [delimited(2, [Buffer.from(model.producerName)])]);
    replaced.set(3, [delimited(3, [Buffer.from(model.producerVersion)])]);
  }
  return assemble(file?.entries ?? [], replaced);
}

function encodeGraph(graph: Graph, encodeTensor: TensorEncoder): Chunk[] {
  const replaced = new Map<number, Chunk[][]>();
  replaced.set(
    graphFields.node,
    graph.nodes.map((node) => delimited(graphFields.node, node.encode())),
  );
  replaced.set(
    graphFields.initializer,
    graph.initializers.map((value) => delimited(graphFields.initializer, encodeTensor(value.tensor!))),
  );
  replaced.set(
    graphFields.input,
    graph.inputs.map((value) => encodeInfo(graphFields.input, value)),
  );
  replaced.set(
    graphFields.output,
    graph.outputs.map((value) => encodeInfo(graphFields.output, value)),
  );
  if (graph.entries.length === 0)
    replaced.set(graphFields.name, [delimited(graphFields.name, [Buffer.from(graph.name)])]);
  // value_info of values that are gone must go too: readers take it as a claim about the graph.
  const declared = new Map<Entry, Value>();
  for (const value of graph.values.values()) if (value.info !== undefined) declared.set(value.info, value);
  const infos = graph.entries.filter(({ number }) => number === graphFields.valueInfo);
  replaced.set(
    graphFields.valueInfo,
    infos.filter((entry) => declared.has(entry) || namesLivingValue(graph, entry)).map(({ whole }) => [whole]),
  );
  return assemble(graph.entries, replaced);
}

/** value_info that repeats an input or output, or stands twice, belongs to no value here but is kept as it was. */
function namesLivingValue(graph: Graph, entry: Entry): boolean {
  const { source, start, end } = entry.payload;
  return graph.values.has(String(ValueInfoProto.decode(source.read(start, end))['name'] ?? ''));
}

function encodeInfo(number: number, value: Value): Chunk[] {
  const { info } = value;
  if (info?.number === number) return [info.whole];
  const type = value.declared === undefined ? {} : { type: encodeType(value.declared) };
  return delimited(number, [ValueInfoProto.encode({ name: value.name, ...type })]);
}

function encodeType({ dataType, dims }: DeclaredType): Message {
  const dimension = (dim: number | string | undefined): Message =>
    typeof dim === 'number' ? { dim_value: dim } : dim === undefined ? {} : { dim_param: dim };
  return {
    tensor_type: { elem_type: dataType, ...(dims === undefined ? {} : { shape: { dim: dims.map(dimension) } }) },
  };
}

/**
 * Fields in the order of `entries`; those of a replaced number are taken from its list one for one, and what is left of
 * the list follows its last original place.
 */
function assemble(entries: readonly Entry[], replaced: ReadonlyMap<number, readonly Chunk[][]>): Chunk[] {
  const chunks: Chunk[] = [];
  const left = new Map<number, number>();
  for (const { number } of entries) left.set(number, (left.get(number) ?? 0) + 1);
  const taken = new Map<number, number>();
  for (const { number, whole } of entries) {
    const list = replaced.get(number);
    if (list === undefined) {
      chunks.push(whole);
      continue;
    }
    const at = taken.get(number) ?? 0;
    const remaining = left.get(number)! - 1;
    left.set(number, remaining);
    const stop = remaining === 0 ? list.length : Math.min(at + 1, list.length);
    for (let i = at; i < stop; i++) chunks.push(...list[i]!);
    taken.set(number, Math.max(at, stop));
  }
  // Lists without an original place: protobuf readers take fields in any order, so the end will do.
  for (const [number, list] of [...replaced].sort(([a], [b]) => a - b)) {
    if (taken.has(number)) continue;
    for (const item of list) chunks.push(...item);
  }
  return chunks;
}

function sameEntries<T>(a: ReadonlyMap<string, T>, b: ReadonlyMap<string, T>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}
