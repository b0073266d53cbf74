import type { Graph } from '../graph/graph.js';
import type { Model } from '../graph/model.js';
import type { Value } from '../graph/value.js';
import { sortedAncestors } from '../graph/ancestors.js';
import { isFloatType } from '../onnx/data-type.js';
import type { ShapeTable } from '../ops/infer.js';
import { findOperator } from '../ops/registry.js';

export const layerOperators: ReadonlySet<string> = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul']);

/**
 * The ends of a model that is no classifier, one behind the other as its outputs are: values of float32 of known shape through which
 * gradients go. What comes behind, such as ArgMax or NonMaxSuppression, is cut off.
 */
export function outputEnds({ graph }: Model, shapes: ShapeTable): readonly Value[] {
  const found = new Set<Value>();
  for (const output of graph.outputs) for (const end of endsBehind(output, shapes)) found.add(end);
  return [...found];
}

/**
 * The operators before an output that choose by what is in the images, such as NonMaxSuppression: how much comes out, or in
 * which order, is another for each image.
 */
export function choosingOperators(graph: Graph, output: Value): readonly string[] {
  const seen = new Set(graph.inputs.filter(({ tensor }) => tensor === undefined));
  const found = new Set<string>();
  for (const node of sortedAncestors(graph, output)) {
    if (!node.inputs.some((value) => value !== undefined && seen.has(value)) || sizes.has(node.opType)) continue;
    for (const value of node.outputs) if (value !== undefined) seen.add(value);
    if (node.domain === '' && selecting.has(node.opType)) found.add(node.opType);
  }
  return [...found];
}

/** What an output that operators choose is made of: see `outputEnds`. */
export function endsBefore(output: Value, shapes: ShapeTable): readonly Value[] {
  return [...new Set(endsBehind(output, shapes))];
}

/** Operators that tell of sizes alone. */
const sizes: ReadonlySet<string> = new Set(['Shape', 'Size']);

/** Operators whose output's size depends on the numbers. */
const selecting: ReadonlySet<string> = new Set(['NonMaxSuppression', 'NonZero', 'Unique', 'Compress', 'TopK']);

function endsBehind(output: Value, shapes: ShapeTable, isCut = false): readonly Value[] {
  const type = shapes.typeOf(output);
  const isFlowing = type !== undefined && isFloatType(type.dataType) && isDifferentiable(output);
  if (isFlowing) return [output];
  const { producer } = output;
  if (producer === undefined) return [];
  const inputs = producer.inputs.filter((value) => value !== undefined && value.tensor === undefined) as Value[];
  const found = inputs.flatMap((input) => endsBehind(input, shapes, true));
  return isCut || found.length > 0 ? found : [];
}

/** Whether a gradient that begins at a value reaches what its numbers are made of, without an operator on the way that has none. */
function isDifferentiable(value: Value): boolean {
  const seen = new Set<Value>();
  const open = [value];
  let hasLayer = false;
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const node = next.producer;
    if (node === undefined || seen.has(next)) continue;
    seen.add(next);
    if (node.domain === '' && selecting.has(node.opType)) return false;
    const operator = findOperator(node.domain, node.opType);
    if (operator === undefined || operator.gradient.kind === 'none') return false;
    if (operator.gradient.kind === 'zero') continue;
    if (node.domain === '' && layerOperators.has(node.opType)) hasLayer = true;
    for (const input of node.inputs) if (input !== undefined) open.push(input);
  }
  return hasLayer;
}
