import type { Graph } from '../graph/graph.js';
import type { Node, NodeSpec } from '../graph/node.js';
import type { Value } from '../graph/value.js';

/** Nodes that will stand in the place of one, as they are made. */
export interface Replacement {
  readonly specs: NodeSpec[];
  /** A node with one output, which is a new value of the graph unless one is given. */
  emit(opType: string, inputs: readonly Value[], attributes?: NodeSpec['attributes'], output?: Value): Value;
}

/** For `graph.replaceNode`; names derive from those of `node`, those of nodes with `label`. */
export function replacementOf(graph: Graph, node: Node, label: string): Replacement {
  const specs: NodeSpec[] = [];
  return {
    specs,
    emit: (opType, inputs, attributes = {}, output = graph.addValue(graph.uniqueName(`${node.id}.${opType}`))) => {
      const name = graph.uniqueNodeName(`${node.id}.${label}.${specs.length}`);
      specs.push({ opType, inputs, outputs: [output], attributes, name });
      return output;
    },
  };
}
