import { assemble, type Item, type Replacement } from '../onnx/assemble.js';
import { type Entry, graphFields, modelFields } from '../onnx/model-file.js';
import { type Message, OperatorSetIdProto, StringStringEntryProto, ValueInfoProto } from '../onnx/proto.js';
import type { ByteRange } from '../files/source.js';
import { isExternalTensor } from '../onnx/tensor-header.js';
import { Tensor } from '../onnx/tensor.js';
import { textOf } from '../onnx/text.js';
import { delimited, fields, numeric, text } from '../onnx/wire.js';
import type { Chunk } from '../files/chunk.js';
import type { Graph } from './graph.js';
import { metadataOf, type Model, opsetsOf } from './model.js';
import { rewriteTensors, type TensorHolder, type TensorRewriter } from './nested.js';
import type { DeclaredType, Value } from './value.js';

/** How a tensor is written: inline, or as a reference into an external data file. */
export type TensorEncoder = (tensor: Tensor) => readonly Chunk[];

/**
 * The bytes of a model, as pieces in order. Whatever was not changed since reading is the original's bytes, in the
 * original's order: encoding an untouched model gives the file back byte for byte. `encodeTensor` is asked for every
 * initializer, and for every tensor with external data wherever it is: in attributes, bodies, functions.
 */
export function encodeModel(model: Model, encodeTensor?: TensorEncoder): Chunk[] {
  const { file } = model;
  const rewrite = encodeTensor === undefined ? undefined : externalRewriter(model, encodeTensor);
  const entries = file?.entries ?? [];
  const graph = encodeGraph(model.graph, encodeTensor ?? ((tensor) => tensor.encode()), rewrite);
  const replaced = new Map<number, Replacement>([
    [modelFields.graph, messages(entries, modelFields.graph, [graph])],
    [modelFields.opsetImport, { wireType: 2, items: encodeOpsets(model, entries) }],
    [modelFields.metadataProps, { wireType: 2, items: encodeMetadata(model, entries) }],
  ]);
  if (file === undefined || Number(file.head['ir_version'] ?? 0) !== model.irVersion) {
    const version = numeric(modelFields.irVersion, model.irVersion);
    replaced.set(modelFields.irVersion, { wireType: 0, items: [{ chunks: [version] }] });
  }
  if (file === undefined) {
    replaced.set(modelFields.producerName, only([text(modelFields.producerName, model.producerName)]));
    replaced.set(modelFields.producerVersion, only([text(modelFields.producerVersion, model.producerVersion)]));
  }
  if (rewrite !== undefined) {
    replaced.set(modelFields.functions, rewritten(entries, modelFields.functions, 'function', rewrite));
    replaced.set(modelFields.trainingInfo, rewritten(entries, modelFields.trainingInfo, 'training', rewrite));
  }
  return assemble(entries, replaced);
}

/** Exchanges tensors with external data; undefined where there are none. */
function externalRewriter({ file }: Model, encodeTensor: TensorEncoder): TensorRewriter | undefined {
  if (file?.external.isUsed !== true) return undefined;
  return (range) => (isExternalTensor(range) ? encodeTensor(Tensor.read(range, file.external.resolve)) : undefined);
}

function only(chunks: readonly Chunk[]): Replacement {
  return { wireType: 2, items: [{ chunks }] };
}

/** Fields around payloads: the original field where a payload is that of one. */
function messages(entries: readonly Entry[], number: number, payloads: readonly (readonly Chunk[])[]): Replacement {
  const originals = new Map<number, Entry>();
  for (const entry of entries) if (entry.is(number)) originals.set(entry.payload.start, entry);
  const items = payloads.map((payload): Item => {
    const [first] = payload;
    if (payload.length === 1 && first !== undefined && !(first instanceof Uint8Array)) {
      const slot = originals.get(first.start);
      const original = slot?.payload;
      if (slot !== undefined && original?.source === first.source && original.end === first.end) return { slot };
    }
    return { chunks: delimited(number, payload) };
  });
  return { wireType: 2, items };
}

function rewritten(
  entries: readonly Entry[],
  number: number,
  holder: TensorHolder,
  rewrite: TensorRewriter,
): Replacement {
  const payloads = entries
    .filter((entry) => entry.is(number))
    .map(({ payload }) => rewriteTensors(payload, holder, rewrite) ?? [payload]);
  return messages(entries, number, payloads);
}

/** Imports that did not change as they were, changed ones in their place, new ones behind. */
function encodeOpsets(model: Model, entries: readonly Entry[]): Item[] {
  const originals = entries.filter((entry) => entry.is(modelFields.opsetImport));
  const before = opsetsOf(model.file?.head ?? { opset_import: [] });
  const domainOf = (entry: Entry): string => {
    const domain = fieldText(entry.payload, 1);
    return domain === 'ai.onnx' ? '' : domain;
  };
  return merge(originals, domainOf, before, model.opsets, (domain, version) =>
    delimited(modelFields.opsetImport, [OperatorSetIdProto.encode({ domain, version })]),
  );
}

function encodeMetadata(model: Model, entries: readonly Entry[]): Item[] {
  const originals = entries.filter((entry) => entry.is(modelFields.metadataProps));
  const before = metadataOf(model.file?.head ?? { metadata_props: [] });
  return merge(
    originals,
    (entry) => fieldText(entry.payload, 1),
    before,
    model.metadata,
    (key, value) => delimited(modelFields.metadataProps, [StringStringEntryProto.encode({ key, value })]),
  );
}

/** Entries of a map: unchanged keys keep their bytes, changed ones take the place of their first, new ones follow. */
function merge<T>(
  originals: readonly Entry[],
  keyOf: (entry: Entry) => string,
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
  encode: (key: string, value: T) => Chunk[],
): Item[] {
  const items: Item[] = [];
  const written = new Set<string>();
  for (const entry of originals) {
    const key = keyOf(entry);
    const value = after.get(key);
    if (value !== undefined && value === before.get(key)) items.push({ slot: entry });
    else if (value !== undefined && !written.has(key)) items.push({ chunks: encode(key, value) });
    written.add(key);
  }
  for (const [key, value] of after) if (!written.has(key)) items.push({ chunks: encode(key, value) });
  return items;
}

/** A GraphProto: `encodeModel` without what stands around it. */
export function encodeGraph(graph: Graph, encodeTensor: TensorEncoder, rewrite: TensorRewriter | undefined): Chunk[] {
  const { entries } = graph;
  const nodes = graph.nodes.map((node) => node.encode(rewrite));
  const initializers = graph.initializers.map((value) => encodeTensor(value.tensor!));
  const replaced = new Map<number, Replacement>([
    [graphFields.node, messages(entries, graphFields.node, nodes)],
    [graphFields.initializer, messages(entries, graphFields.initializer, initializers)],
    [graphFields.input, declarations(entries, graphFields.input, graph.inputs)],
    [graphFields.output, declarations(entries, graphFields.output, graph.outputs)],
    [graphFields.valueInfo, livingDeclarations(graph)],
  ]);
  if (rewrite !== undefined) {
    const number = graphFields.sparseInitializer;
    replaced.set(number, rewritten(entries, number, 'sparse', rewrite));
  }
  if (entries.length === 0) replaced.set(graphFields.name, only([text(graphFields.name, graph.name)]));
  return assemble(entries, replaced);
}

/** Inputs or outputs: as they were declared, unless their `info` was taken away. */
function declarations(entries: readonly Entry[], number: number, values: readonly Value[]): Replacement {
  const originals = new Map<string, Entry[]>();
  for (const entry of entries) {
    if (!entry.is(number)) continue;
    const name = fieldText(entry.payload, 1);
    const list = originals.get(name);
    if (list === undefined) originals.set(name, [entry]);
    else list.push(entry);
  }
  const items = values.map((value): Item => {
    const original = value.info === undefined ? undefined : originals.get(value.name)?.shift();
    return original === undefined ? { chunks: encodeInfo(number, value) } : { slot: original };
  });
  return { wireType: 2, items };
}

/**
 * value_info of values that were removed must go too: readers take it as a claim about the graph. What was declared
 * without being in the graph (values in bodies and functions) stays.
 */
function livingDeclarations(graph: Graph): Replacement {
  const items: Item[] = [];
  for (const entry of graph.entries) {
    if (!entry.is(graphFields.valueInfo)) continue;
    const name = fieldText(entry.payload, 1);
    if (graph.wasRemoved(name)) continue;
    const value = graph.values.get(name);
    const isRedeclared = value !== undefined && value.info === undefined && value.declared !== undefined;
    items.push(isRedeclared ? { chunks: encodeInfo(graphFields.valueInfo, value) } : { slot: entry });
  }
  return { wireType: 2, items };
}

function encodeInfo(number: number, value: Value): Chunk[] {
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

/** The last text of a field, as protobuf reads it. */
function fieldText({ source, start, end }: ByteRange, wanted: number): string {
  let found = '';
  for (const field of fields({ source, start, end })) {
    if (field.number === wanted && field.wireType === 2)
      found = textOf({ source, start: field.payload, end: field.end });
  }
  return found;
}
