import { LowrankError } from '../errors.js';
import { dataTypeName } from '../onnx/data-type.js';
import {
  type Entry,
  graphFields,
  type ModelFile,
  modelFields,
  openModelFile,
  type ReadOptions,
} from '../onnx/model-file.js';
import { type Message, NodeProto, ValueInfoProto } from '../onnx/proto.js';
import type { ByteRange } from '../onnx/source.js';
import { decode, Tensor } from '../onnx/tensor.js';
import { fields } from '../onnx/wire.js';
import { type Attribute, readAttribute } from './attribute.js';
import { Graph } from './graph.js';
import { metadataOf, type Model, opsetsOf } from './model.js';
import { Node } from './node.js';
import type { DeclaredType, Dimension, Value } from './value.js';

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
  return {
    graph: buildGraph(file),
    opsets: opsetsOf(head),
    irVersion: Number(head['ir_version'] ?? 0),
    producerName: String(head['producer_name'] ?? ''),
    producerVersion: String(head['producer_version'] ?? ''),
    metadata: metadataOf(head),
    functions: file.entries.filter((entry) => entry.number === modelFields.functions).map(functionName),
    file,
  };
}

function functionName(entry: Entry): string {
  let name = '';
  let domain = '';
  const { source } = entry.payload;
  for (const field of fields(entry.payload)) {
    if (field.wireType !== 2 || (field.number !== 1 && field.number !== 10)) continue;
    const text = Buffer.from(source.read(field.payload, field.end)).toString('utf8');
    if (field.number === 1) name = text;
    else domain = text;
  }
  return `${domain}:${name}`;
}

function buildGraph(file: ModelFile): Graph {
  const entries = file.graphEntries;
  const of = (number: number): Entry[] => entries.filter((entry) => entry.number === number);
  const nameEntry = of(graphFields.name)[0];
  const graph = new Graph(nameEntry === undefined ? '' : textOf(nameEntry.payload), entries);
  const place = file.source.label;

  for (const entry of of(graphFields.initializer)) {
    const tensor = Tensor.read(entry.payload, file.external.resolve);
    if (tensor.name === '') throw new LowrankError('GRAPH', 'an initializer without a name', { place });
    graph.addInitializer(tensor);
  }
  for (const entry of of(graphFields.sparseInitializer)) {
    const name = sparseName(entry.payload);
    // Data of sparse initializers is passed through, not read: to the graph they are values that exist from the start.
    if (name !== '' && graph.value(name) === undefined) graph.addValue(name).isInput = true;
  }
  for (const entry of of(graphFields.input)) {
    const message = valueInfo(entry);
    const name = String(message['name'] ?? '');
    if (graph.inputs.some((input) => input.name === name)) {
      throw new LowrankError('GRAPH', `two graph inputs are named '${name}'`, { place });
    }
    graph.addInput(name, declaredType(message)).info = entry;
  }
  const drafts = of(graphFields.node).map((entry) => draftNode(entry, file));
  for (const { node, outputs } of drafts) {
    for (const name of outputs) {
      if (name === '') continue;
      const value = graph.value(name);
      if (value !== undefined) {
        throw new LowrankError('GRAPH', `'${name}' is defined twice`, {
          place: `${place}, ${node.opType} '${node.name}'`,
        });
      }
      graph.addValue(name);
    }
  }
  const lookup = (name: string, reader: string): Value => {
    const value = graph.value(name);
    if (value !== undefined) return value;
    throw new LowrankError('GRAPH', `'${name}' is read but nothing defines it`, { place: `${place}, ${reader}` });
  };
  for (const { node, inputs, outputs } of drafts) {
    const valueOf = (name: string): Value | undefined =>
      name === '' ? undefined : lookup(name, `${node.opType} '${node.name || outputs[0]}'`);
    graph.insert(node, inputs.map(valueOf), outputs.map(valueOf));
    for (const name of capturedNames(node, graph.reservedNames)) graph.value(name)?.uses.push({ node, index: -1 });
  }
  for (const entry of of(graphFields.output)) {
    const message = valueInfo(entry);
    const value = lookup(String(message['name'] ?? ''), 'graph outputs');
    graph.addOutput(value, declaredType(message));
    if (!value.isInput) value.info = entry;
  }
  for (const entry of of(graphFields.valueInfo)) {
    const message = valueInfo(entry);
    const value = graph.value(String(message['name'] ?? ''));
    if (value === undefined || value.isInput || value.isOutput) continue;
    value.declared ??= declaredType(message);
    value.info = entry;
  }
  return graph;
}

interface Draft {
  readonly node: Node;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

function draftNode(entry: Entry, file: ModelFile): Draft {
  const { source, start, end } = entry.payload;
  const message = decode(NodeProto.decode, source.read(start, end), entry.payload);
  const attributes = new Map<string, Attribute>();
  for (const attribute of message['attribute'] as Message[]) {
    const name = String(attribute['name'] ?? '');
    try {
      attributes.set(name, readAttribute(attribute, file.external.resolve));
    } catch (error) {
      if (!(error instanceof LowrankError)) throw error;
      const node = String(message['name'] ?? '') || (message['output'] as string[])[0];
      throw new LowrankError(error.code, error.fact, {
        place: `${source.label}, ${String(message['op_type'])} '${node}', attribute '${name}'`,
        ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
        cause: error,
      });
    }
  }
  const node = new Node(message, attributes, entry.payload);
  return { node, inputs: message['input'] as string[], outputs: message['output'] as string[] };
}

/** Names that the bodies of a node read from outside; names that they define are added to `reserved`. */
function capturedNames(node: Node, reserved: Set<string>): Set<string> {
  const captured = new Set<string>();
  for (const attribute of node.attributes.values()) {
    const bodies = attribute.type === 'graph' ? [attribute.value] : attribute.type === 'graphs' ? attribute.value : [];
    for (const body of bodies) collectCaptured(body, captured, reserved, new Set());
  }
  return captured;
}

function collectCaptured(
  body: Message,
  captured: Set<string>,
  reserved: Set<string>,
  outer: ReadonlySet<string>,
): void {
  const own = new Set(outer);
  const define = (name: unknown): void => {
    own.add(String(name ?? ''));
    reserved.add(String(name ?? ''));
  };
  const list = (key: string): Message[] => (body[key] ?? []) as Message[];
  for (const input of list('input')) define(input['name']);
  for (const initializer of list('initializer')) define(initializer['name']);
  const nodes = list('node');
  for (const node of nodes) for (const output of node['output'] as string[]) define(output);
  const read = (name: string): void => {
    if (name !== '' && !own.has(name)) captured.add(name);
  };
  for (const node of nodes) {
    for (const input of node['input'] as string[]) read(input);
    for (const attribute of node['attribute'] as Message[]) {
      const inner = attribute['g'] as Message | null | undefined;
      if (inner !== null && inner !== undefined) collectCaptured(inner, captured, reserved, own);
      for (const graph of (attribute['graphs'] ?? []) as Message[]) collectCaptured(graph, captured, reserved, own);
    }
  }
  for (const output of list('output')) read(String(output['name'] ?? ''));
}

function valueInfo(entry: Entry): Message {
  const { source, start, end } = entry.payload;
  return decode(ValueInfoProto.decode, source.read(start, end), entry.payload);
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
  if (Object.hasOwn(message, 'dim_value') && value !== null && Number(value) > 0) return Number(value);
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

function textOf({ source, start, end }: ByteRange): string {
  return Buffer.from(source.read(start, end)).toString('utf8');
}

/** "float32 [batch, 3, 224, 224]", for tables and errors. */
export function describeType({ dataType, dims }: DeclaredType): string {
  return `${dataTypeName(dataType)} ${dims === undefined ? 'of any rank' : `[${dims.map((dim) => dim ?? '?').join(', ')}]`}`;
}
