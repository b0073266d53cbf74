import { LowrankError } from '../../errors.js';
import type { Attribute } from '../../graph/attribute.js';
import type { Graph } from '../../graph/graph.js';
import type { Node, NodeSpec } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import type { Tensor } from '../../onnx/tensor.js';
import type { TensorType } from '../../ops/operator.js';

/** What one version of an operator asks of a call written for the version before. */
export type Step =
  /** Nothing: every call of the version before means the same. */
  'compatible' | Adapt;

/**
 * Brings a call of the version before into the form of this one, with the same outputs. Nodes that it makes are of this
 * version's opset: the steps behind it reach them too.
 */
export type Adapt = (call: Call) => void;

/** The history of one ai.onnx operator. */
export interface OpsetRule {
  readonly opType: string;
  /** The first opset that has it. */
  readonly since: number;
  /** By version, every one behind the first up to `newestOpset`. */
  readonly steps: Readonly<Record<number, Step>>;
}

/** Versions up to here are in the rules. */
export const newestOpset = 23;

/** A node that is being adapted, and the edits that adapters make. */
export interface Call {
  readonly node: Node;
  /** The type as it was inferred before the pass; undefined where it is not known, and for values made since. */
  typeOf(value: Value | undefined): TensorType | undefined;
  /** The elements of a value that is the same in every run, whatever the open dimensions are. */
  constantOf(value: Value | undefined): readonly number[] | undefined;
  setAttribute(name: string, attribute: Attribute): void;
  removeAttribute(name: string): void;
  /** An initializer that nothing reads afterwards goes. */
  setInput(index: number, value: Value | undefined): void;
  /** Puts `nodes` in the place of the node; they produce its outputs. Initializers that nothing reads then go. */
  replace(nodes: readonly NodeSpec[]): void;
  /** Puts a node before this one and gives its output. */
  insert(opType: string, inputs: readonly Value[], attributes?: Readonly<Record<string, Attribute>>): Value;
  /** A new initializer named after the node: `conv1.pads`. */
  initializer(name: string, make: (name: string) => Tensor): Value;
  /** A new value named after the node. */
  value(name: string): Value;
  /** Throws UNSUPPORTED: the node cannot be raised. */
  refuse(reason: string): never;
}

/** What a call needs of the model around it. */
export interface CallContext {
  readonly graph: Graph;
  readonly typeOf: Call['typeOf'];
  readonly constantOf: Call['constantOf'];
  /** Told of each node that is changed or put in. */
  readonly changed: (node: Node) => void;
}

export function callOf(node: Node, { graph, typeOf, constantOf, changed }: CallContext): Call {
  const nameOf = (suffix: string): string => graph.uniqueName(`${node.id}.${suffix}`);
  // What callers may override is part of the model's interface, read or not.
  const forget = (value: Value | undefined): void => {
    if (value?.tensor !== undefined && !value.isInput) graph.removeIfUnused(value);
  };
  return {
    node,
    typeOf,
    constantOf,
    setAttribute: (name, attribute) => {
      node.setAttribute(name, attribute);
      changed(node);
    },
    removeAttribute: (name) => {
      if (!node.attributes.has(name)) return;
      node.removeAttribute(name);
      changed(node);
    },
    setInput: (index, value) => {
      const old = node.inputs[index];
      graph.setInput(node, index, value);
      forget(old);
      changed(node);
    },
    replace: (nodes) => {
      const inputs = [...node.inputs];
      for (const added of graph.replaceNode(node, () => nodes)) changed(added);
      inputs.forEach(forget);
    },
    insert: (opType, inputs, attributes = {}) => {
      const suffix = opType.toLowerCase();
      const output = graph.addValue(nameOf(suffix));
      const name = graph.uniqueNodeName(`${node.id}.${suffix}`);
      changed(graph.addNode({ opType, name, inputs, outputs: [output], attributes }, { before: node }));
      return output;
    },
    initializer: (suffix, make) => graph.addInitializer(make(nameOf(suffix))),
    value: (suffix) => graph.addValue(nameOf(suffix)),
    refuse: (reason) => {
      throw cannotRaise(node, reason);
    },
  };
}

export function cannotRaise(node: Node, reason: string): LowrankError {
  return new LowrankError('UNSUPPORTED', `${node.opType} cannot be raised: ${reason}`, {
    place: node.label,
    remedy: 'export the model again with opset 17 or later',
  });
}

/** A version whose meaning differs and for which there is no adapter. */
export function refusal(reason: string): Adapt {
  return ({ refuse }) => refuse(reason);
}

/** The history of an operator all of whose versions are compatible but those of `changes`. */
function rule(opType: string, versions: readonly number[], changes: Readonly<Record<number, Adapt>>): OpsetRule {
  const [since, ...later] = versions;
  const steps = Object.fromEntries(later.map((version): [number, Step] => [version, changes[version] ?? 'compatible']));
  return { opType, since: since!, steps };
}

/** The same history for several operators. */
export function rules(
  histories: Readonly<Record<string, readonly number[]>>,
  changes: Readonly<Record<number, Adapt>>,
): OpsetRule[] {
  return Object.entries(histories).map(([opType, versions]) => rule(opType, versions, changes));
}
