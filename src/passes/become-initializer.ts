import type { Graph } from '../graph/graph.js';
import type { Value } from '../graph/value.js';
import type { Tensor } from '../onnx/tensor.js';

/** Whether the node that makes a value may give way to an initializer: outputs and what bodies read keep their nodes. */
export function canBecomeInitializer(value: Value): boolean {
  return !value.isOutput && value.uses.every(({ index }) => index >= 0);
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
