import { type ModelFile, modelFields } from '../onnx/model-file.js';
import type { ByteRange } from '../files/source.js';
import { Tensor } from '../onnx/tensor.js';
import { textOf } from '../onnx/text.js';
import { fields, readVarint } from '../onnx/wire.js';
import { type Attribute, readAttribute } from './attribute.js';
import type { Graph } from './graph.js';
import type { Model } from './model.js';
import { type Node, nodeFields, type NodeHead, type NodeSpec } from './node.js';
import type { Value } from './value.js';

/** Field numbers of FunctionProto, of OperatorSetIdProto, and of AttributeProto. */
const functionFields = {
  name: 1,
  input: 4,
  output: 5,
  node: 7,
  opsetImport: 9,
  domain: 10,
  attributeProto: 11,
} as const;
const opsetFields = { domain: 1, version: 2 } as const;
const referenceField = 21;

/** A node of a function's body, by the names of its values there. */
export interface FunctionNode extends NodeHead {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, Attribute>;
  /** Attributes that are those of the call, by the name they have there. */
  readonly references: ReadonlyMap<string, string>;
}

/** A function of a model (FunctionProto): what a node of its name stands for. */
export interface ModelFunction {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly FunctionNode[];
  readonly opsets: ReadonlyMap<string, number>;
  /** Attributes that a call may leave out. */
  readonly defaults: ReadonlyMap<string, Attribute>;
}

const known = new WeakMap<ModelFile, ReadonlyMap<string, ModelFunction>>();

/** The functions of a model by "domain:name"; read once. Throws FORMAT where one cannot be read. */
export function readFunctions({ file }: Model): ReadonlyMap<string, ModelFunction> {
  const found = file === undefined ? new Map<string, ModelFunction>() : (known.get(file) ?? readAll(file));
  if (file !== undefined) known.set(file, found);
  return found;
}

function readAll(file: ModelFile): ReadonlyMap<string, ModelFunction> {
  const functions = new Map<string, ModelFunction>();
  const { budget, external } = file;
  const attribute = (range: ByteRange): ReturnType<typeof readAttribute> =>
    readAttribute(range, external.resolve, budget);
  for (const entry of file.entries) {
    if (!entry.is(modelFields.functions)) continue;
    budget(1);
    const parts = partsOf(entry.payload);
    const texts = (number: number): string[] => (parts.get(number) ?? []).map(textOf);
    const name = `${plainDomain(texts(functionFields.domain).at(-1))}:${texts(functionFields.name).at(-1) ?? ''}`;
    functions.set(name, {
      inputs: texts(functionFields.input),
      outputs: texts(functionFields.output),
      nodes: (parts.get(functionFields.node) ?? []).map((range) => readNode(range, attribute)),
      opsets: new Map((parts.get(functionFields.opsetImport) ?? []).map(readOpset)),
      defaults: new Map(
        (parts.get(functionFields.attributeProto) ?? []).map((range) => {
          const found = attribute(range);
          return [found.name, found.attribute] as const;
        }),
      ),
    });
  }
  return functions;
}

/** A body of If, Loop or Scan (GraphProto), by the names of its values. */
export interface BodyGraph {
  readonly nodes: readonly FunctionNode[];
  readonly initializers: readonly Tensor[];
  readonly outputs: readonly string[];
}

/** Field numbers of GraphProto and ValueInfoProto. */
const graphParts = { node: 1, initializer: 5, output: 12 } as const;
const valueName = 1;

/** Reads the body that an attribute holds. Throws FORMAT, EXTERNAL_DATA. */
export function readBody({ file }: Model, range: ByteRange): BodyGraph {
  const resolve = file?.external.resolve;
  const parts = partsOf(range);
  return {
    nodes: (parts.get(graphParts.node) ?? []).map((part) =>
      readNode(part, (attribute) => readAttribute(attribute, resolve!, file!.budget)),
    ),
    initializers: (parts.get(graphParts.initializer) ?? []).map((part) => Tensor.read(part, resolve!)),
    outputs: (parts.get(graphParts.output) ?? []).map((part) => {
      const name = partsOf(part).get(valueName)?.at(-1);
      return name === undefined ? '' : textOf(name);
    }),
  };
}

const plainDomain = (domain: string | undefined): string =>
  domain === undefined || domain === 'ai.onnx' ? '' : domain;

function readNode(range: ByteRange, read: (range: ByteRange) => ReturnType<typeof readAttribute>): FunctionNode {
  const parts = partsOf(range);
  const texts = (number: number): string[] => (parts.get(number) ?? []).map(textOf);
  const attributes = new Map<string, Attribute>();
  const references = new Map<string, string>();
  for (const part of parts.get(nodeFields.attribute) ?? []) {
    const { name, attribute } = read(part);
    const reference = partsOf(part).get(referenceField)?.at(-1);
    if (reference !== undefined && reference.end > reference.start) references.set(name, textOf(reference));
    else attributes.set(name, attribute);
  }
  return {
    opType: texts(nodeFields.opType).at(-1) ?? '',
    domain: plainDomain(texts(nodeFields.domain).at(-1)),
    name: texts(nodeFields.name).at(-1) ?? '',
    inputs: texts(nodeFields.input),
    outputs: texts(nodeFields.output),
    attributes,
    references,
  };
}

function readOpset(range: ByteRange): readonly [string, number] {
  const { source } = range;
  let [domain, version] = ['', 0];
  for (const { number, wireType, payload, end } of fields(range)) {
    if (number === opsetFields.domain && wireType === 2) domain = textOf({ source, start: payload, end });
    if (number === opsetFields.version && wireType === 0) version = readVarint({ source, start: payload, end });
  }
  return [plainDomain(domain), version];
}

/** The length-delimited fields of a message by number. */
function partsOf(range: ByteRange): ReadonlyMap<number, readonly ByteRange[]> {
  const { source } = range;
  const parts = new Map<number, ByteRange[]>();
  for (const { number, wireType, payload, end } of fields(range)) {
    if (wireType !== 2) continue;
    const list = parts.get(number);
    const part = { source, start: payload, end };
    if (list === undefined) parts.set(number, [part]);
    else list.push(part);
  }
  return parts;
}

/** The call's values by their names in the body. */
export function boundTo(call: Node, body: ModelFunction): Map<string, Value | undefined> {
  const values = new Map<string, Value | undefined>();
  body.outputs.forEach((name, i) => {
    if (call.outputs[i] !== undefined) values.set(name, call.outputs[i]);
  });
  body.inputs.forEach((name, i) => values.set(name, call.inputs[i]));
  return values;
}

/**
 * The nodes that a call stands for, in the order of the body. `values` are those of the graph by their names in the body; others
 * are made, with `prefix` in front of their names.
 */
export function bodyNodes(
  graph: Graph,
  call: Node,
  body: ModelFunction,
  values: Map<string, Value | undefined>,
  prefix: string,
): readonly NodeSpec[] {
  const valueOf = (name: string): Value | undefined => {
    if (name === '' || values.has(name)) return values.get(name);
    const value = graph.addValue(graph.uniqueName(`${prefix}${name}`));
    values.set(name, value);
    return value;
  };
  const label = (name: string): string => graph.uniqueNodeName(`${prefix}${name}`);
  const specs = body.nodes.map(({ opType, domain, name, inputs, outputs, attributes, references }): NodeSpec => {
    const own: Record<string, Attribute> = Object.fromEntries(attributes);
    for (const [to, from] of references) {
      const attribute = call.attributes.get(from) ?? body.defaults.get(from);
      if (attribute !== undefined) own[to] = attribute;
    }
    return {
      opType,
      ...(domain === undefined ? {} : { domain }),
      name: label((name ?? '') === '' ? (outputs[0] ?? opType) : name!),
      inputs: inputs.map(valueOf),
      outputs: outputs.map(valueOf),
      attributes: own,
    };
  });
  // An input of the function that is an output of it as it is.
  const copies = body.outputs.flatMap((name, i): NodeSpec[] => {
    const [input, output] = [values.get(name), call.outputs[i]];
    if (!body.inputs.includes(name) || output === undefined) return [];
    return [{ opType: 'Identity', name: label(name), inputs: [input], outputs: [output] }];
  });
  return [...specs, ...copies];
}
