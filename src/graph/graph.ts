import { LowrankError } from '../errors.js';
import type { Entry } from '../onnx/model-file.js';
import type { Tensor } from '../onnx/tensor.js';
import { writeAttribute, type Attribute } from './attribute.js';
import { Node, type NodeSpec } from './node.js';
import { Value } from './value.js';

/** Where a new node goes in the list of nodes: at the end where nothing is said. */
export interface Position {
  readonly before?: Node;
  readonly after?: Node;
}

/**
 * A graph of nodes and values with use-lists. Every change goes through its methods, which keep uses, producers and
 * names consistent; `checkGraph` proves it after each pass.
 */
export class Graph {
  /** In file order, which is topological wherever the file's was. */
  readonly nodes: Node[] = [];
  readonly inputs: Value[] = [];
  readonly outputs: Value[] = [];
  /** Initializers in file order, new ones behind. */
  readonly initializers: Value[] = [];
  readonly values = new Map<string, Value>();
  /** Entries of GraphProto in file order: written back unless their subject changed. Empty for new graphs. */
  readonly entries: readonly Entry[];
  readonly name: string;
  /** Names that bodies of If, Loop and Scan define for themselves: not to be taken by new values. */
  readonly reservedNames = new Set<string>();

  constructor(name: string, entries: readonly Entry[] = []) {
    this.name = name;
    this.entries = entries;
  }

  value(name: string): Value | undefined {
    return this.values.get(name);
  }

  /** A new value. Throws GRAPH where the name is taken. */
  addValue(name: string): Value {
    if (this.values.has(name)) throw new LowrankError('GRAPH', `two values are named '${name}'`, { place: this.name });
    const value = new Value(name);
    this.values.set(name, value);
    return value;
  }

  /** `base`, or `base_1`, `base_2` … where it is taken. */
  uniqueName(base: string): string {
    const taken = (name: string): boolean => this.values.has(name) || this.reservedNames.has(name);
    if (!taken(base)) return base;
    let i = 1;
    while (taken(`${base}_${i}`)) i++;
    return `${base}_${i}`;
  }

  /** A node name that no node has: `base`, `base_1` … */
  uniqueNodeName(base: string): string {
    const names = new Set(this.nodes.map((node) => node.name));
    if (!names.has(base)) return base;
    let i = 1;
    while (names.has(`${base}_${i}`)) i++;
    return `${base}_${i}`;
  }

  /** An initializer named as the tensor. Throws GRAPH where the name is taken. */
  addInitializer(tensor: Tensor): Value {
    const value = this.addValue(tensor.name);
    value.tensor = tensor;
    this.initializers.push(value);
    return value;
  }

  /** Other data for an initializer, under the same name. */
  setTensor(value: Value, tensor: Tensor): void {
    if (value.tensor === undefined) throw new LowrankError('INTERNAL', `'${value.name}' is no initializer`);
    value.tensor = tensor.name === value.name ? tensor : tensor.renamed(value.name);
  }

  addInput(name: string, declared: Value['declared']): Value {
    const value = this.values.get(name) ?? this.addValue(name);
    value.isInput = true;
    value.declared = declared;
    this.inputs.push(value);
    return value;
  }

  addOutput(value: Value, declared?: Value['declared']): void {
    value.isOutput = true;
    if (declared !== undefined) value.declared = declared;
    this.outputs.push(value);
  }

  /** Throws GRAPH where an output already has a producer. */
  addNode(spec: NodeSpec, position: Position = {}): Node {
    const attributes = new Map<string, Attribute>(Object.entries(spec.attributes ?? {}));
    const message = {
      op_type: spec.opType,
      name: spec.name ?? '',
      ...(spec.domain === undefined || spec.domain === '' ? {} : { domain: spec.domain }),
      attribute: [...attributes].map(([name, attribute]) => writeAttribute(name, attribute)),
    };
    const node = new Node(message, attributes, undefined);
    this.insert(node, spec.inputs, spec.outputs, position);
    return node;
  }

  /** Adds a node with its edges: for addNode and the reader. */
  insert(
    node: Node,
    inputs: readonly (Value | undefined)[],
    outputs: readonly (Value | undefined)[],
    position: Position = {},
  ): void {
    for (const value of outputs) {
      if (value === undefined) continue;
      if (value.producer !== undefined || value.isInitializer) {
        throw new LowrankError('GRAPH', `'${value.name}' is defined twice`, { place: node.label });
      }
      value.producer = node;
    }
    node.outputs.push(...outputs);
    inputs.forEach((value, index) => {
      node.inputs.push(value);
      value?.uses.push({ node, index });
    });
    if (position.before !== undefined) this.nodes.splice(this.#indexOf(position.before), 0, node);
    else if (position.after !== undefined) this.nodes.splice(this.#indexOf(position.after) + 1, 0, node);
    else this.nodes.push(node);
  }

  setInput(node: Node, index: number, value: Value | undefined): void {
    const old = node.inputs[index];
    if (old === value) return;
    if (old !== undefined) dropUse(old, node, index);
    while (node.inputs.length < index) node.inputs.push(undefined);
    node.inputs[index] = value;
    value?.uses.push({ node, index });
    node.touch();
  }

  /** Every reader of `from` reads `to`. Graph outputs and bodies keep reading `from`. */
  replaceUses(from: Value, to: Value): void {
    for (const { node, index } of [...from.uses]) if (index >= 0) this.setInput(node, index, to);
  }

  /**
   * Puts new nodes where `node` was. They may produce the values that `node` produced, so names, declared types and graph
   * outputs stay. Throws GRAPH where a value that is still read is left without a producer.
   */
  replaceNode(node: Node, build: () => readonly NodeSpec[]): Node[] {
    const outputs = node.outputs.filter((value) => value !== undefined);
    for (const value of outputs) value.producer = undefined;
    const specs = build();
    const added = specs.map((spec) => this.addNode(spec, { before: node }));
    this.#detach(node);
    for (const value of outputs) {
      if (value.producer !== undefined) continue;
      if (value.uses.length > 0 || value.isOutput) {
        throw new LowrankError('GRAPH', `'${value.name}' is read but no longer produced`, { place: node.label });
      }
      this.values.delete(value.name);
    }
    return added;
  }

  /** Throws GRAPH where an output is still read. */
  removeNode(node: Node): void {
    for (const value of node.outputs) {
      if (value === undefined) continue;
      if (value.uses.length > 0 || value.isOutput) {
        throw new LowrankError('GRAPH', `'${value.name}' is still read`, { place: node.label });
      }
    }
    this.#detach(node);
    for (const value of node.outputs) {
      if (value !== undefined) this.values.delete(value.name);
    }
  }

  /** Removes `value`, and what only served it, if nothing reads it: an initializer, or a chain of nodes down to initializers. */
  removeIfUnused(value: Value): void {
    if (value.uses.length > 0 || value.isOutput) return;
    const { producer } = value;
    if (producer !== undefined) {
      if (producer.outputs.some((output) => output !== undefined && (output.uses.length > 0 || output.isOutput)))
        return;
      const inputs = producer.inputs.filter((input) => input !== undefined);
      this.removeNode(producer);
      for (const input of inputs) this.removeIfUnused(input);
      return;
    }
    if (!value.isInitializer) return;
    remove(this.initializers, value);
    // IR 3 lists initializers among the inputs; one without data would become a required input.
    if (value.isInput) remove(this.inputs, value);
    this.values.delete(value.name);
  }

  /** Nodes so that each comes behind what it reads. Throws GRAPH on a cycle. */
  sorted(): Node[] {
    const waiting = new Map<Node, number>();
    const ready: Node[] = [];
    for (const node of this.nodes) {
      const count = node.inputs.filter((value) => value?.producer !== undefined).length + capturedCount(this, node);
      waiting.set(node, count);
      if (count === 0) ready.push(node);
    }
    const order: Node[] = [];
    for (let next = 0; next < ready.length; next++) {
      const node = ready[next]!;
      order.push(node);
      for (const output of node.outputs) {
        for (const use of output?.uses ?? []) {
          const left = waiting.get(use.node)! - 1;
          waiting.set(use.node, left);
          if (left === 0) ready.push(use.node);
        }
      }
    }
    if (order.length === this.nodes.length) return order;
    const stuck = this.nodes.find((node) => waiting.get(node)! > 0)!;
    throw new LowrankError('GRAPH', 'the graph has a cycle', { place: stuck.label });
  }

  #detach(node: Node): void {
    node.inputs.forEach((value, index) => {
      if (value !== undefined) dropUse(value, node, index);
    });
    for (const value of this.#capturedBy(node)) dropUse(value, node, -1);
    this.nodes.splice(this.#indexOf(node), 1);
  }

  *#capturedBy(node: Node): Generator<Value> {
    const hasBody = [...node.attributes.values()].some(({ type }) => type === 'graph' || type === 'graphs');
    if (!hasBody) return;
    for (const value of this.values.values()) {
      if (value.uses.some((use) => use.node === node && use.index === -1)) yield value;
    }
  }

  #indexOf(node: Node): number {
    const index = this.nodes.indexOf(node);
    if (index < 0) throw new LowrankError('INTERNAL', 'node is not in this graph', { place: node.label });
    return index;
  }
}

function capturedCount(graph: Graph, node: Node): number {
  const hasBody = [...node.attributes.values()].some(({ type }) => type === 'graph' || type === 'graphs');
  if (!hasBody) return 0;
  let count = 0;
  for (const value of graph.values.values()) {
    if (value.producer === undefined) continue;
    count += value.uses.filter((use) => use.node === node && use.index === -1).length;
  }
  return count;
}

function dropUse(value: Value, node: Node, index: number): void {
  const at = value.uses.findIndex((use) => use.node === node && use.index === index);
  if (at >= 0) value.uses.splice(at, 1);
}

function remove<T>(list: T[], item: T): void {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
}
