import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { isFloatType } from '../onnx/data-type.js';
import type { Tensor } from '../onnx/tensor.js';

/** Whether the node that makes a value may give way to an initializer: outputs and what bodies read keep their nodes. */
export function canBecomeInitializer(value: Value): boolean {
  return !value.isOutput && value.uses.every(({ index }) => index >= 0);
}

/** Makes initializers of the float values that `tensorOf` knows of one node each; gives their number. */
export function makeInitializers(
  graph: Graph,
  nodes: readonly Node[],
  tensorOf: (node: Node) => Tensor | undefined,
): number {
  let changes = 0;
  for (const node of nodes) {
    const tensor = tensorOf(node);
    const value = node.outputs[0];
    if (tensor === undefined || value === undefined || !isFloatType(tensor.dataType)) continue;
    if (!canBecomeInitializer(value)) continue;
    becomeInitializer(graph, value, tensor);
    changes++;
  }
  return changes;
}

/** Replaces the node that makes `value`, its only output, by an initializer of the same name; gives the initializer. */
export function becomeInitializer(graph: Graph, value: Value, tensor: Tensor): Value {
  const { name } = value;
  // Names are unique in a graph: readers wait at a stand-in while the name changes hands.
  const stand = graph.addInitializer(tensor.renamed(graph.uniqueName(`${name}.constant`)));
  graph.replaceUses(value, stand);
  graph.removeNode(value.producer!);
  const initializer = graph.addInitializer(tensor.renamed(name));
  graph.replaceUses(stand, initializer);
  graph.removeIfUnused(stand);
  return initializer;
}
