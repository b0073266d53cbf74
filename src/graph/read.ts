import { LowrankError } from '../errors.js';
import type { Budget } from '../onnx/budget.js';
import { dataTypeName } from '../onnx/data-type.js';
import {
  type Entry,
  graphFields,
  type ModelFile,
  modelFields,
  openModelFile,
  type ReadOptions,
} from '../onnx/model-file.js';
import { type Message, ValueInfoProto } from '../onnx/proto.js';
import type { ByteRange } from '../files/source.js';
import { decode, isExternalTensor } from '../onnx/tensor-header.js';
import { Tensor } from '../onnx/tensor.js';
import { nameOf, textOf } from '../onnx/text.js';
import { fields } from '../onnx/wire.js';
import { type Attribute, attributeName, readAttribute } from './attribute.js';
import { capturedNames } from './body.js';
import { Graph } from './graph.js';
import { metadataOf, type Model, opsetsOf } from './model.js';
import { rewriteTensors, type TensorHolder } from './nested.js';
import { Node, nodeFields } from './node.js';
import type { DeclaredType, Dimension, Value } from './value.js';

/** Field numbers of TensorProto and ValueInfoProto. */
const tensorName = 8;
const valueInfoName = 1;
/** A declaration is a name and a shape, and whatever metadata its exporter adds. */
const largestDeclaration = 1 << 18;

/**
 * Reads a model from a path or from bytes. Weights stay in the file until asked for; it is open until
 * `model.file.close()`. Throws INPUT, FORMAT, EXTERNAL_DATA or GRAPH (names defined twice or never).
 */
export function readModel(input: string | Uint8Array, options: ReadOptions = {}): Model {
  const file = openModelFile(input, options);
  try {
    return buildModel(file);
  } catch (error) {
    file.close();
    throw error;
  }
}

function buildModel(file: ModelFile): Model {
  const { head } = file;
  for (const entry of file.entries) {
    if (entry.is(modelFields.functions)) checkNested(entry.payload, 'function', file);
    if (entry.is(modelFields.trainingInfo)) checkNested(entry.payload, 'training', file);
  }
  return {
    graph: buildGraph(file),
    opsets: opsetsOf(head),
    irVersion: Number(head['ir_version'] ?? 0),
    producerName: String(head['producer_name'] ?? ''),
    producerVersion: String(head['producer_version'] ?? ''),
    metadata: metadataOf(head),
    functions: file.entries.filter((entry) => entry.is(modelFields.functions)).map(functionName),
    file,
  };
}

function functionName(entry: Entry): string {
  let name = '';
  let domain = '';
  const { source } = entry.payload;
  for (const { number, wireType, payload, end } of fields(entry.payload)) {
    if (wireType !== 2) continue;
    if (number === 1) name = textOf({ source, start: payload, end });
    if (number === 10) domain = textOf({ source, start: payload, end });
  }
  return `${domain === 'ai.onnx' ? '' : domain}:${name}`;
}

function buildGraph(file: ModelFile): Graph {
  const entries = file.graphEntries;
  const of = (number: number): Entry[] => entries.filter((entry) => entry.is(number));
  const nameEntry = of(graphFields.name).at(-1);
  const graph = new Graph(nameEntry === undefined ? '' : textOf(nameEntry.payload), entries);
  const place = file.source.label;

  for (const entry of of(graphFields.initializer)) {
    file.budget(1);
    const tensor = Tensor.read(entry.payload, file.external.resolve);
    if (tensor.name === '') throw new LowrankError('GRAPH', 'an initializer without a name', { place });
    refuseSecond(graph, checkedName(tensor.name, entry, tensorName), `${place}, initializers`);
    graph.addInitializer(tensor);
  }
  for (const entry of of(graphFields.sparseInitializer)) {
    checkNested(entry.payload, 'sparse', file);
    const name = sparseName(entry.payload);
    // Data of sparse initializers is passed through, not read: to the graph they are values that exist from the start.
    if (name !== '' && graph.value(name) === undefined) graph.addValue(name).isInput = true;
  }
  const inputs = new Set<string>();
  for (const entry of of(graphFields.input)) {
    const { name, declared } = declaration(entry, file.budget);
    if (name === '') throw new LowrankError('GRAPH', 'a graph input without a name', { place });
    if (inputs.has(name)) throw new LowrankError('GRAPH', `two graph inputs are named '${name}'`, { place });
    inputs.add(name);
    graph.addInput(name, declared).info = entry;
  }
  const drafts: Draft[] = [];
  for (const entry of entries) if (entry.is(graphFields.node)) drafts.push(draftNode(entry, file));
  for (const { node, outputs } of drafts) {
    for (const name of outputs) {
      if (name === '') continue;
      refuseSecond(graph, name, `${place}, ${node.opType} '${node.name}'`);
      graph.addValue(name);
    }
  }
  const lookup = (name: string, reader: () => string): Value => {
    const value = graph.value(name);
    if (value !== undefined) return value;
    throw new LowrankError('GRAPH', `'${name}' is read but nothing defines it`, {
      place: `${place}, ${reader()}`,
      remedy: 'export the model again',
    });
  };
  for (const { node, inputs, outputs } of drafts) {
    const valueOf = (name: string): Value | undefined =>
      name === '' ? undefined : lookup(name, () => `${node.opType} '${node.name || outputs[0]}'`);
    graph.insert(node, inputs.map(valueOf), outputs.map(valueOf));
    for (const name of capturedNames(node.attributes.values(), graph.reservedNames, file.budget)) {
      const value = graph.value(name);
      if (value !== undefined) graph.addCapture(node, value);
    }
  }
  for (const entry of of(graphFields.output)) {
    const { name, declared } = declaration(entry, file.budget);
    const value = lookup(name, () => 'graph outputs');
    graph.addOutput(value, value.isInput ? undefined : declared);
    if (!value.isInput) value.info = entry;
  }
  for (const entry of of(graphFields.valueInfo)) {
    const { name, declared } = declaration(entry, file.budget);
    const value = graph.value(name);
    if (value === undefined || value.isInput || value.isOutput) continue;
    value.declared ??= declared;
    value.info = entry;
  }
  return graph;
}

function refuseSecond(graph: Graph, name: string, place: string): void {
  if (graph.value(name) === undefined) return;
  throw new LowrankError('GRAPH', `'${name}' is defined twice`, { place, remedy: 'export the model again' });
}

interface Draft {
  readonly node: Node;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

function draftNode(entry: Entry, file: ModelFile): Draft {
  const { source } = entry.payload;
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes = new Map<string, Attribute>();
  const broken: { name: string; error: LowrankError }[] = [];
  file.budget(1);
  let [name, opType, domain] = ['', '', ''];
  for (const { number, wireType, payload, end } of fields(entry.payload)) {
    if (wireType !== 2) continue;
    const range = { source, start: payload, end };
    file.budget(1);
    if (number === nodeFields.input) inputs.push(nameOf(range));
    else if (number === nodeFields.output) outputs.push(nameOf(range));
    else if (number === nodeFields.name) name = textOf(range);
    else if (number === nodeFields.opType) opType = textOf(range);
    else if (number === nodeFields.domain) domain = textOf(range);
    else if (number === nodeFields.attribute && broken.length === 0) {
      try {
        const { name, attribute } = readAttribute(range, file.external.resolve, file.budget);
        if (attribute.type === 'graph') checkNested(attribute.value, 'graph', file);
        else if (attribute.type === 'graphs' || attribute.type === 'other') checkNested(range, 'attribute', file);
        attributes.set(name, attribute);
      } catch (error) {
        if (!(error instanceof LowrankError)) throw error;
        broken.push({ name: attributeName(range), error });
      }
    }
  }
  const place = `${source.label}, ${opType} '${name || outputs[0]}'`;
  if (opType === '') {
    throw new LowrankError('GRAPH', 'a node without an operator', {
      place: `${place}, at byte ${entry.payload.start}`,
      remedy: 'export the model again',
    });
  }
  for (const { name, error } of broken) {
    throw new LowrankError(error.code, error.fact, {
      place: `${place}, attribute '${name}'`,
      ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
      cause: error,
    });
  }
  return { node: new Node({ opType, domain, name }, attributes, entry.payload), inputs, outputs };
}

/** External data anywhere inside must be there too: the runtime will want it. */
function checkNested(range: ByteRange, holder: TensorHolder, file: ModelFile): void {
  rewriteTensors(range, holder, (tensor) => {
    if (isExternalTensor(tensor)) Tensor.read(tensor, file.external.resolve);
    return undefined;
  });
}

/** Name and type of a ValueInfoProto. */
function declaration(entry: Entry, budget: Budget): { name: string; declared: DeclaredType | undefined } {
  const { source, start, end } = entry.payload;
  if (end - start > largestDeclaration) {
    throw new LowrankError('FORMAT', `${end - start} bytes to declare one tensor`, {
      place: `${source.label} at byte ${start}`,
      remedy: 'the file is damaged: export it again',
    });
  }
  const message = decode(ValueInfoProto.decode, source.read(start, end), entry.payload);
  const declared = declaredType(message);
  budget(1 + (declared?.dims?.length ?? 0));
  return { name: checkedName(String(message['name'] ?? ''), entry, valueInfoName), declared };
}

/** A decoded name, if the bytes it was decoded from were UTF-8. */
function checkedName(name: string, entry: Entry, field: number): string {
  if (!name.includes('\u{FFFD}')) return name;
  const { source } = entry.payload;
  let checked = '';
  for (const { number, wireType, payload, end } of fields(entry.payload)) {
    if (number === field && wireType === 2) checked = nameOf({ source, start: payload, end });
  }
  return checked;
}

/** undefined for sequences, maps and optionals. */
function declaredType(message: Message): DeclaredType | undefined {
  const type = message['type'] as Message | null | undefined;
  const tensor = type?.['tensor_type'] as Message | null | undefined;
  if (tensor === null || tensor === undefined) return undefined;
  const shape = tensor['shape'] as Message | null | undefined;
  const dims = shape === null || shape === undefined ? undefined : (shape['dim'] as Message[]).map(dimension);
  return { dataType: Number(tensor['elem_type'] ?? 0), dims };
}

function dimension(message: Message): Dimension {
  const value = message['dim_value'];
  // Exporters write 0 or −1 for a dimension that they do not know.
  const size = Object.hasOwn(message, 'dim_value') && value !== null ? Number(value) : 0;
  if (size > 0) return Number.isSafeInteger(size) ? size : undefined;
  const symbol = String(message['dim_param'] ?? '');
  return symbol === '' ? undefined : symbol;
}

function sparseName(range: ByteRange): string {
  for (const field of fields(range)) {
    if (field.number !== 1 || field.wireType !== 2) continue;
    const values = { source: range.source, start: field.payload, end: field.end };
    for (const inner of fields(values)) {
      if (inner.number === 8 && inner.wireType === 2)
        return textOf({ ...values, start: inner.payload, end: inner.end });
    }
  }
  return '';
}

/** "float32 [batch, 3, 224, 224]", for tables and errors. */
export function describeType({ dataType, dims }: DeclaredType): string {
  return `${dataTypeName(dataType)} ${dims === undefined ? 'of any rank' : `[${dims.map((dim) => dim ?? '?').join(', ')}]`}`;
}
