import { inMebibytes, machineMemory, memoryError } from '../limits.js';
import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import { describeType } from '../graph/read.js';
import type { Value } from '../graph/value.js';
import { byteLengthOf } from '../onnx/data-type.js';
import type { ShapeTable } from './infer.js';
import type { TensorType } from './operator.js';

/** What one run of a graph needs at the least. */
export interface MemoryNeed {
  /** Bytes of weights, inputs, and the most intermediate results that are alive together. */
  readonly peak: number;
  /** Bytes of the weights among them, and of the inputs. */
  readonly weights: number;
  readonly inputs: number;
  /** The largest of all tensors. */
  readonly largest: { readonly value: Value; readonly type: TensorType; readonly bytes: number } | undefined;
}

/**
 * A lower bound of the memory that a run of the graph takes, node after node. A result lives from its node to the last one that
 * reads it; one that is as large as an input which ends there takes that one's place. Values of unknown type, and what
 * control flow computes inside, count as nothing.
 */
export function memoryNeed(graph: Graph, shapes: ShapeTable): MemoryNeed {
  let largest: MemoryNeed['largest'];
  const sizes = new Map<Value, number>();
  const bytesOf = (value: Value | undefined): number => {
    if (value === undefined) return 0;
    let bytes = sizes.get(value);
    if (bytes !== undefined) return bytes;
    const type: TensorType | undefined = shapes.typeOf(value);
    bytes = type === undefined ? 0 : sizeInBytes(type);
    sizes.set(value, bytes);
    if (type !== undefined && bytes > (largest?.bytes ?? 0)) largest = { value, type, bytes };
    return bytes;
  };
  const sum = (values: Iterable<Value>): number => [...values].reduce((total, value) => total + bytesOf(value), 0);
  const weights = sum(graph.initializers);
  const order = graph.sorted();
  const ends = lastReaders(order);
  const ended = new Map<Node, Set<Value>>();
  for (const [value, node] of ends) {
    const values = ended.get(node) ?? new Set();
    ended.set(node, values.add(value));
  }
  const inputs = sum(graph.inputs.filter(({ tensor }) => tensor === undefined));
  let alive = weights + inputs;
  let peak = alive;
  for (const node of order) {
    const ending = ended.get(node) ?? new Set<Value>();
    const body = shapes.bodyOf(node);
    const outputs = node.outputs.filter((value) => value !== undefined);
    const inner = body === undefined ? undefined : memoryNeed(body.graph, body.shapes);
    const inside = inner === undefined ? 0 : inner.peak - inner.weights - inner.inputs;
    if ((inner?.largest?.bytes ?? 0) > (largest?.bytes ?? 0)) largest = inner!.largest;
    for (const value of outputs) {
      const bytes = bytesOf(value);
      const replaced = [...ending].find((input) => bytesOf(input) === bytes);
      if (replaced === undefined) alive += bytes;
      else ending.delete(replaced);
    }
    peak = Math.max(peak, alive + inside);
    alive -= sum(ending) + sum(outputs.filter((value) => !ends.has(value) && !value.isOutput));
  }
  return { peak, weights, inputs, largest };
}

/** Intermediate results with the last node that reads each; outputs of the graph stay. */
function lastReaders(order: readonly Node[]): ReadonlyMap<Value, Node> {
  const places = new Map(order.map((node, place) => [node, place]));
  const ends = new Map<Value, Node>();
  for (const { outputs } of order) {
    for (const value of outputs) {
      if (value === undefined || value.isOutput || value.uses.length === 0) continue;
      const last = value.uses.reduce((latest, { node }) => Math.max(latest, places.get(node) ?? 0), 0);
      ends.set(value, order[last]!);
    }
  }
  return ends;
}

function sizeInBytes(type: TensorType): number {
  const elements = type.dims.reduce((product, dim) => product * dim, 1);
  return byteLengthOf(type.dataType, elements) ?? 0;
}

/**
 * Throws RUNTIME (`isOverLimit`) where one run of the graph needs more memory than `limit` bytes, default those of the machine. To
 * be called before a session is made: onnxruntime computes constants while it opens a model.
 */
export function requireMemory(graph: Graph, shapes: ShapeTable, limit: number = machineMemory()): void {
  const { peak, largest } = memoryNeed(graph, shapes);
  if (peak <= limit || largest === undefined) return;
  const { value, type, bytes } = largest;
  const from = value.producer === undefined ? '' : ` of ${value.producer.label}`;
  throw memoryError(
    `one run needs ${inMebibytes(peak)} of memory at the least, more than ${inMebibytes(limit)}`,
    `the largest tensor is '${value.name}'${from}, ${describeType(type)}, ${inMebibytes(bytes)}`,
  );
}
