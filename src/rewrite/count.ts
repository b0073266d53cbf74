import type { Graph } from '../graph/graph.js';
import type { Value } from '../graph/value.js';
import { isFloatType } from '../onnx/data-type.js';
import type { Tensor } from '../onnx/tensor.js';
import type { ShapeTable } from '../ops/infer.js';
import { isFixedInput } from '../passes/fix-inputs.js';

/**
 * Parameters of a model: elements of all float tensors it stores (initializers and Constant nodes), each once, without
 * scalars and without BatchNormalization's running mean and variance. Equals the counts that architectures are
 * published with.
 */
export function countParameters(graph: Graph): number {
  const statistics = new Set<Value>();
  for (const node of graph.nodes) {
    if (!node.is('BatchNormalization')) continue;
    // Tensors that are also someone's weight (merged equal tensors of an untrained export) count as that.
    for (const value of node.inputs.slice(3, 5)) {
      if (
        value !== undefined &&
        value.uses.every(({ node: reader, index }) => reader.is('BatchNormalization') && index >= 3)
      ) {
        statistics.add(value);
      }
    }
  }
  const countOf = (tensor: Tensor): number =>
    isFloatType(tensor.dataType) && tensor.dims.length > 0 ? tensor.size : 0;
  let count = 0;
  for (const value of graph.initializers)
    if (!statistics.has(value) && !isFixedInput(value.name)) count += countOf(value.tensor!);
  for (const node of graph.nodes) {
    const output = node.outputs[0];
    if (!node.is('Constant') || output === undefined || statistics.has(output)) continue;
    const tensor = node.tensor('value');
    if (tensor !== undefined) count += countOf(tensor);
    else count += node.floats('value_floats')?.length ?? 0;
  }
  return count;
}

/** Multiply-accumulates for one image beyond which a model takes long to run: it is shown fewer images, less often. */
export const slowMacs = 1e9;

/** Multiply-accumulates of one run at the bound shapes: convolutions and matrix products, constant or not. */
export function countMacs(graph: Graph, shapes: ShapeTable): number {
  return graph.nodes.reduce((sum, node) => sum + shapes.macsOf(node), 0);
}
