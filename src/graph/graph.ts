import { LowrankError } from '../errors.js';
import type { Entry } from '../onnx/model-file.js';
import type { Tensor } from '../onnx/tensor.js';
import { Node, type NodeSpec } from './node.js';
import { Value } from './value.js';

/** Where a new node goes in the list of nodes: at the end where nothing is said. */
export interface Position {
  readonly before?: Node;
  readonly after?: Node;
}

/**
 * A graph of nodes and values with use-lists. Every change goes through its methods, which keep uses, producers and
 * names consistent; `checkModel` proves it after each pass.
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
  /** Names of values that were removed and have not come back. */
  readonly #removed = new Set<string>();
  /** How many nodes have a name. */
  readonly #nodeNames = new Map<string, number>();
  /** Where the search for a free `base_1`, `base_2` … goes on. */
  readonly #suffixes = new Map<string, number>();
  /** Values that the bodies of a node read from outside. */
  readonly #captures = new Map<Node, Value[]>();
  /** Edits come one near the other, so the search for a node begins at the last one found. */
  #lastIndex = 0;

  constructor(name: string, entries: readonly Entry[] = []) {
    this.name = name;
    this.entries = entries;
  }

  value(name: string): Value | undefined {
    return this.values.get(name);
  }

  /** Whether a value of this name was in the graph and no longer is: declarations of it must go. */
  wasRemoved(name: string): boolean {
    return this.#removed.has(name);
  }

  /** A new value. Throws GRAPH where the name is taken. */
  addValue(name: string): Value {
    if (this.values.has(name)) throw new LowrankError('GRAPH', `two values are named '${name}'`, { place: this.name });
    const value = new Value(name);
    this.values.set(name, value);
    this.#removed.delete(name);
    return value;
  }

  /** `base`, or one of `base_1`, `base_2` … where it is taken. */
  uniqueName(base: string): string {
    return this.#unique(base, 'value', (name) => this.values.has(name) || this.reservedNames.has(name));
  }

  /** A node name that no node has: `base`, `base_1` … */
  uniqueNodeName(base: string): string {
    return this.#unique(base, 'node', (name) => this.#nodeNames.has(name));
  }

  #unique(base: string, kind: string, isTaken: (name: string) => boolean): string {
    if (!isTaken(base)) return base;
    const key = `${kind} ${base}`;
    let i = this.#suffixes.get(key) ?? 1;
    while (isTaken(`${base}_${i}`)) i++;
    this.#suffixes.set(key, i);
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

  /** Takes out the node that makes a value, its only output, and what only served it: the caller puts the value among the inputs. */
  makeInput(value: Value): void {
    const node = value.producer;
    if (node !== undefined) {
      const served = node.inputs.filter((input) => input !== undefined);
      this.#detach(node);
      value.producer = undefined;
      for (const input of served) this.removeIfUnused(input);
    }
    value.isInput = true;
  }

  addOutput(value: Value, declared?: Value['declared']): void {
    value.isOutput = true;
    if (declared !== undefined) value.declared = declared;
    this.outputs.push(value);
  }

  /** Throws GRAPH where an output already has a producer; the graph is then as it was. */
  addNode(spec: NodeSpec, position: Position = {}): Node {
    const node = new Node(spec, new Map(Object.entries(spec.attributes ?? {})), undefined);
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
    const own = new Set<Value>();
    for (const value of outputs) {
      if (value === undefined) continue;
      if (value.producer !== undefined || value.isInitializer || value.isInput || own.has(value)) {
        throw new LowrankError('GRAPH', `'${value.name}' is defined twice`, { place: `${node.opType} '${node.name}'` });
      }
      own.add(value);
    }
    const at = this.#place(position);
    for (const value of outputs) if (value !== undefined) value.producer = node;
    for (const value of outputs) node.outputs.push(value);
    inputs.forEach((value, index) => {
      node.inputs.push(value);
      value?.uses.push({ node, index });
    });
    if (node.name !== '') this.#nodeNames.set(node.name, (this.#nodeNames.get(node.name) ?? 0) + 1);
    if (at === this.nodes.length) this.nodes.push(node);
    else this.nodes.splice(at, 0, node);
  }

  /** Says that a body of `node` reads `value` from outside: for the reader. */
  addCapture(node: Node, value: Value): void {
    value.uses.push({ node, index: -1 });
    const list = this.#captures.get(node);
    if (list === undefined) this.#captures.set(node, [value]);
    else list.push(value);
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
   * outputs stay. Throws GRAPH where a value that is still read is left without a producer; the nodes are then as they
   * were.
   */
  replaceNode(node: Node, build: () => readonly NodeSpec[]): Node[] {
    return this.replaceNodes([node], build);
  }

  /** The same of several nodes at once, in the place of the first. */
  replaceNodes(nodes: readonly Node[], build: () => readonly NodeSpec[]): Node[] {
    const producers = nodes.flatMap((node) => node.outputs.map((value) => [value, node] as const));
    const specs = build();
    for (const [value] of producers) if (value !== undefined) value.producer = undefined;
    const added: Node[] = [];
    try {
      for (const spec of specs) added.push(this.addNode(spec, { before: nodes[0]! }));
      for (const [value, node] of producers) {
        const isRead = value !== undefined && (value.isOutput || value.uses.some((use) => !nodes.includes(use.node)));
        if (isRead && value.producer === undefined) {
          throw new LowrankError('GRAPH', `'${value.name}' is read but no longer produced`, { place: node.label });
        }
      }
    } catch (error) {
      for (const failed of added.reverse()) {
        for (const value of failed.outputs) if (value !== undefined) value.producer = undefined;
        this.#detach(failed);
      }
      for (const [value, node] of producers) if (value !== undefined) value.producer = node;
      throw error;
    }
    for (const node of nodes) this.#detach(node);
    for (const [value] of producers) if (value !== undefined && value.producer === undefined) this.#forget(value);
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
      if (value !== undefined) this.#forget(value);
    }
  }

  /** Removes `value`, and what only served it, if nothing reads it: an initializer, or a chain of nodes down to initializers. */
  removeIfUnused(value: Value): void {
    const isUnused = ({ uses, isOutput }: Value): boolean => uses.length === 0 && !isOutput;
    const candidates = [value];
    for (let next = candidates.pop(); next !== undefined; next = candidates.pop()) {
      if (!isUnused(next) || this.values.get(next.name) !== next) continue;
      const { producer } = next;
      if (producer !== undefined) {
        if (!producer.outputs.every((output) => output === undefined || isUnused(output))) continue;
        for (const input of [...producer.inputs, ...(this.#captures.get(producer) ?? [])]) {
          if (input !== undefined) candidates.push(input);
        }
        this.removeNode(producer);
      } else if (next.isInitializer) {
        remove(this.initializers, next);
        // IR 3 lists initializers among the inputs; one without data would become a required input.
        if (next.isInput) remove(this.inputs, next);
        this.#forget(next);
      }
    }
  }

  /** Nodes so that each comes behind what it reads. Throws GRAPH on a cycle. */
  sorted(): Node[] {
    const waiting = new Map<Node, number>();
    const ready: Node[] = [];
    const isProduced = (value: Value | undefined): boolean => value?.producer !== undefined;
    for (const node of this.nodes) {
      const captures = this.#captures.get(node)?.filter(isProduced).length ?? 0;
      const count = node.inputs.filter(isProduced).length + captures;
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

  #forget(value: Value): void {
    this.values.delete(value.name);
    this.#removed.add(value.name);
  }

  /** Takes a node out of the list and out of the use-lists of what it reads. */
  #detach(node: Node): void {
    node.inputs.forEach((value, index) => {
      if (value !== undefined) dropUse(value, node, index);
    });
    for (const value of this.#captures.get(node) ?? []) dropUse(value, node, -1);
    this.#captures.delete(node);
    const named = this.#nodeNames.get(node.name);
    if (named === 1) this.#nodeNames.delete(node.name);
    else if (named !== undefined) this.#nodeNames.set(node.name, named - 1);
    this.nodes.splice(this.#indexOf(node), 1);
  }

  #place({ before, after }: Position): number {
    if (before !== undefined) return this.#indexOf(before);
    return after === undefined ? this.nodes.length : this.#indexOf(after) + 1;
  }

  #indexOf(node: Node): number {
    const { nodes } = this;
    const start = Math.min(this.#lastIndex, nodes.length);
    for (let distance = 0; distance <= nodes.length; distance++) {
      for (const index of [start + distance, start - distance]) {
        if (nodes[index] !== node) continue;
        this.#lastIndex = index;
        return index;
      }
    }
    throw new LowrankError('INTERNAL', 'node is not in this graph', { place: node.label });
  }
}

function dropUse(value: Value, node: Node, index: number): void {
  const at = value.uses.findIndex((use) => use.node === node && use.index === index);
  if (at >= 0) value.uses.splice(at, 1);
}

function remove<T>(list: T[], item: T): void {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
}
