import { LowrankError } from '../errors.js';
import { bodyNodes, readFunctions } from '../graph/function.js';
import { Graph } from '../graph/graph.js';
import { type Model, newModel } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import { describeType } from '../graph/read.js';
import type { Value } from '../graph/value.js';
import { INT64 } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import { type BindOptions, bindInputs, type BoundInputs } from './bind-inputs.js';
import type { Known, TensorType } from './operator.js';
import { findOperator } from './registry.js';
import { atNode, shapeError } from './support/fail.js';
import { knownOfTensor } from './support/known.js';
import { showDims } from './support/layout.js';

export interface InferOptions extends BindOptions {
  /** Types found otherwise, such as by a run, for values that no rule can give. */
  readonly found?: ReadonlyMap<Value, TensorType>;
}

/** A node with outputs of unknown type, and why. */
export interface UnknownNode {
  readonly node: Node;
  readonly reason: string;
}

/** Concrete types of the values of one graph, as it was when they were inferred. */
export interface ShapeTable {
  /** undefined where neither rules nor declarations say it, and for sequences. */
  typeOf(value: Value): TensorType | undefined;
  /** Throws SHAPE, with the reason, where the type is not known. */
  require(value: Value): TensorType;
  /** The elements of a small value that is the same in every run. */
  constantOf(value: Value): readonly number[] | undefined;
  /**
   * Multiply-accumulates of a node in one run; 0 where its operator has no rule for them or types are not known. Of a call of a
   * function: of all that it does.
   */
  macsOf(node: Node): number;
  /** What a call of one of the model's functions stands for, as a graph of its own; undefined for other nodes. */
  bodyOf(node: Node): FunctionBody | undefined;
  readonly unknown: readonly UnknownNode[];
  /** Declared types (value_info, outputs) that the rules contradict, and the like. Not fatal: exporters write stale ones. */
  readonly warnings: readonly string[];
  readonly inputs: BoundInputs;
  /** What it was inferred with: pass it again after a change of the graph. */
  readonly options: InferOptions;
}

/**
 * Infers the element type and shape of every value for one concrete choice of the open dimensions (`bindInputs` says
 * which). Small tensors that do not depend on the inputs are computed, so that shapes made by Shape, Gather, Concat and
 * arithmetic resolve. Outputs of operators without rules take their declared type where it is complete, then
 * `options.found`; what remains is listed in `unknown` and stops nothing.
 * Throws SHAPE where the model contradicts itself for these input shapes, USAGE for impossible options.
 */
export function inferShapes(model: Model, options: InferOptions = {}): ShapeTable {
  return infer(model, options, { depth: 0, budget: { nodes: mostBodyNodes } });
}

function infer(model: Model, options: InferOptions, calls: Calls): ShapeTable {
  const { graph } = model;
  const bodies = new Map<Node, FunctionBody>();
  const inputs = bindInputs(graph, options);
  const types = new Map<Value, Known>(inputs.types);
  const unknown: UnknownNode[] = [];
  const warnings: string[] = [];

  const lookup = (value: Value): Known | undefined => {
    let type = types.get(value);
    if (type === undefined && value.tensor !== undefined) {
      type = knownOfTensor(value.tensor);
      types.set(value, type);
    }
    return type;
  };
  const typeOf = (value: Value): Known | undefined => {
    const type = lookup(value);
    return type?.sequence === undefined ? type : undefined;
  };
  const fallback = (value: Value): Known | undefined => boundDeclaration(value, inputs) ?? options.found?.get(value);

  for (const node of graph.sorted()) {
    const outcome = inferNode(model, node, lookup, options, calls);
    if (outcome.body !== undefined) bodies.set(node, outcome.body);
    node.outputs.forEach((value, index) => {
      if (value === undefined) return;
      const inferred = outcome.outputs[index];
      const type = inferred ?? fallback(value);
      if (type !== undefined) types.set(value, type);
      const isTensor = inferred !== undefined && inferred.sequence === undefined;
      const conflict = !isTensor ? undefined : contradiction(value, inferred);
      if (conflict !== undefined) warnings.push(conflict);
    });
    const isIncomplete = node.outputs.some((value) => value !== undefined && !types.has(value));
    if (isIncomplete) unknown.push({ node, reason: outcome.reason });
  }
  return {
    typeOf,
    require: (value) => {
      const type = typeOf(value);
      if (type !== undefined) return type;
      const cause = unknown.find(({ node }) => node === value.producer);
      const fact = `the shape of '${value.name}' is not known: ${cause?.reason ?? 'the model does not say it'}`;
      throw new LowrankError('SHAPE', fact, {
        ...(cause === undefined ? {} : { place: cause.node.label }),
        remedy: shapeRemedy(model),
      });
    },
    constantOf: (value) => typeOf(value)?.constant,
    bodyOf: (node) => bodies.get(node),
    macsOf: (node) => {
      const body = bodies.get(node);
      if (body !== undefined) return body.graph.nodes.reduce((sum, inner) => sum + body.shapes.macsOf(inner), 0);
      const list = (values: readonly (Value | undefined)[]): (TensorType | undefined)[] =>
        values.map((value) => (value === undefined ? undefined : typeOf(value)));
      const operator = findOperator(node.domain, node.opType);
      return operator?.macs?.(node, list(node.inputs), list(node.outputs)) ?? 0;
    },
    unknown,
    warnings,
    inputs,
    options,
  };
}

/** The body of a function for one call: its inputs are initializers where the call reads stored tensors. */
export interface FunctionBody {
  readonly graph: Graph;
  readonly shapes: ShapeTable;
}

/** Functions that call functions: deeper than any exporter nests them. */
const mostCalls = 32;

/** Nodes of all bodies together: functions that each call the next one twice make 2³² of a few lines. */
const mostBodyNodes = 200_000;

/** Where a body stands, and what is left for all of them. */
interface Calls {
  readonly depth: number;
  readonly budget: { nodes: number };
}

interface Outcome {
  readonly body?: FunctionBody;
  readonly outputs: readonly (Known | undefined)[];
  /** Why outputs may be missing. */
  readonly reason: string;
}

function inferNode(
  model: Model,
  node: Node,
  lookup: (value: Value) => Known | undefined,
  options: InferOptions,
  calls: Calls,
): Outcome {
  const operator = findOperator(node.domain, node.opType);
  const isFunction = model.functions.includes(`${node.domain}:${node.opType}`);
  const called = `${node.domain === '' ? '' : `${node.domain}.`}${node.opType}`;
  if (isFunction) return inferFunction(model, node, lookup, called, calls);
  if (operator === undefined) return { outputs: [], reason: `${called} is an operator without a shape rule` };
  const blind = node.inputs.find((value) => value !== undefined && lookup(value) === undefined);
  if (blind !== undefined) return { outputs: [], reason: `the shape of its input '${blind.name}' is not known` };
  const inputs = node.inputs.map((value) => (value === undefined ? undefined : lookup(value)));
  const context = { node, opset: model.opsets.get(node.domain) ?? 1, inputs };
  try {
    const outputs = atNode(node, () => requireSizes(operator.infer(context)));
    return { outputs: outputs ?? [], reason: 'its shape depends on data' };
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'SHAPE' || error.remedy !== undefined) throw error;
    const chosen = Object.keys(options.inputShapes ?? {}).length > 0 || hasOpenInput(model);
    throw new LowrankError('SHAPE', error.fact, {
      place: error.place ?? node.label,
      ...(chosen ? { remedy: shapeRemedy(model) } : {}),
      cause: error,
    });
  }
}

/** Throws SHAPE where a dimension is no size: negative, not whole, or more than any memory holds. */
function requireSizes(outputs: readonly (Known | undefined)[] | undefined): typeof outputs {
  for (const output of outputs ?? []) {
    if (output === undefined || output.dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) continue;
    throw shapeError(`a result of ${showDims(output.dims)} is impossible`);
  }
  return outputs;
}

/** Types of what a function gives, from its body. */
function inferFunction(
  model: Model,
  call: Node,
  lookup: (value: Value) => Known | undefined,
  called: string,
  { depth, budget }: Calls,
): Outcome {
  const reason = `${called} is a function of the model`;
  const body = readFunctions(model).get(`${call.domain}:${call.opType}`);
  if (body === undefined || depth >= mostCalls) return { outputs: [], reason };
  budget.nodes -= body.nodes.length;
  if (budget.nodes < 0) return { outputs: [], reason: `${reason}, and all make more than ${mostBodyNodes} nodes` };
  const graph = new Graph(call.id);
  const values = new Map<string, Value | undefined>();
  body.inputs.forEach((name, i) => {
    const given = call.inputs[i];
    const type = given === undefined ? undefined : lookup(given);
    if (given === undefined || type === undefined || type.sequence !== undefined)
      return void values.set(name, undefined);
    const tensor = given.tensor ?? constantTensor(type);
    values.set(name, tensor === undefined ? graph.addInput(name, type) : graph.addInitializer(tensor.renamed(name)));
  });
  const isBlind = body.inputs.some((name, i) => call.inputs[i] !== undefined && values.get(name) === undefined);
  if (isBlind) return { outputs: [], reason: `${reason}, and the shape of an input is not known` };
  for (const spec of bodyNodes(graph, call, body, values, '')) graph.addNode(spec);
  const opsets = new Map([...model.opsets, ...body.opsets]);
  const shapes = infer(
    { ...newModel(graph, opsets, model.irVersion), functions: model.functions, file: model.file },
    {},
    { depth: depth + 1, budget },
  );
  const outputs = body.outputs.map((name): Known | undefined => {
    const value = values.get(name);
    return value === undefined ? undefined : shapes.typeOf(value);
  });
  return { outputs, reason: shapes.unknown[0]?.reason ?? reason, body: { graph, shapes } };
}

/** Shapes that are computed outside of a function are constants inside. */
function constantTensor({ dataType, dims, constant }: Known): Tensor | undefined {
  return constant === undefined || dataType !== INT64 ? undefined : Tensor.ofInts('', dims, constant);
}

/** Commands that read images know their side alone. */
function shapeRemedy({ graph }: Model): string {
  const hasOpenImages = graph.inputs.some(({ tensor, declared }) => {
    const [, ...sides] = declared?.dims ?? [];
    return tensor === undefined && sides.length === 3 && sides.some((dim) => typeof dim !== 'number');
  });
  const shape = 'give the shape of the input with --input-shape';
  return hasOpenImages
    ? `${shape}, or say the side of the images with --image-size`
    : `${shape}, or export the model with fixed shapes`;
}

function hasOpenInput(model: Model): boolean {
  return model.graph.inputs.some(
    ({ tensor, declared }) => tensor === undefined && declared?.dims?.every((dim) => typeof dim === 'number') !== true,
  );
}

/** The declared type where every dimension is a number or a symbol that stands for one. */
function boundDeclaration({ declared }: Value, { bindings }: BoundInputs): TensorType | undefined {
  if (declared?.dims === undefined || declared.dataType === 0) return undefined;
  const dims: number[] = [];
  for (const dim of declared.dims) {
    const size = typeof dim === 'string' ? bindings.get(dim) : dim;
    if (size === undefined) return undefined;
    dims.push(size);
  }
  return { dataType: declared.dataType, dims };
}

/** Symbols are no claims: exporters invent them. Numbers are. */
function contradiction(value: Value, { dataType, dims }: TensorType): string | undefined {
  const { declared } = value;
  if (declared === undefined) return undefined;
  const isSameType = declared.dataType === 0 || declared.dataType === dataType;
  const isSameShape =
    declared.dims === undefined ||
    (declared.dims.length === dims.length &&
      declared.dims.every((dim, i) => typeof dim !== 'number' || dim === dims[i]));
  if (isSameType && isSameShape) return undefined;
  return `'${value.name}' is declared ${describeType(declared)} but is ${describeType({ dataType, dims })}`;
}
