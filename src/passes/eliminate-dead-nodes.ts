import type { Model } from '../graph/model.js';
import type { Pass } from './runner.js';

/** Removes nodes of which no output is read, and initializers that nothing reads. Inputs of the model stay. */
export const eliminateDeadNodes: Pass = {
  name: 'eliminate-dead-nodes',
  summary: 'nodes and initializers that nothing reads are removed',
  run: ({ graph }: Model) => {
    const before = graph.nodes.length + graph.initializers.length;
    // From the end, so that whole chains go in one walk.
    for (const node of graph.sorted().reverse()) {
      const isRead = node.outputs.some((value) => value !== undefined && (value.uses.length > 0 || value.isOutput));
      if (!isRead) graph.removeNode(node);
    }
    for (const value of [...graph.initializers]) graph.removeIfUnused(value);
    return before - graph.nodes.length - graph.initializers.length;
  },
};
