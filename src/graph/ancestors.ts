import type { Graph } from './graph.js';
import type { Node } from './node.js';
import type { Value } from './value.js';

/** The nodes that values are computed by. */
export function ancestors(...outputs: readonly Value[]): ReadonlySet<Node> {
  return behind(() => false, outputs);
}

/** The same, each behind what it reads. Throws GRAPH on a cycle. */
export function sortedAncestors(graph: Graph, ...outputs: readonly Value[]): Node[] {
  return sortedBetween(graph, () => false, outputs);
}

/** The nodes that values are computed by from `known` ones, each behind what it reads. Throws GRAPH on a cycle. */
export function sortedBetween(graph: Graph, known: (value: Value) => boolean, outputs: readonly Value[]): Node[] {
  const needed = behind(known, outputs);
  return graph.sorted().filter((node) => needed.has(node));
}

function behind(known: (value: Value) => boolean, outputs: readonly Value[]): ReadonlySet<Node> {
  const found = new Set<Node>();
  const open = [...outputs];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    const node = value.producer;
    if (node === undefined || known(value) || found.has(node)) continue;
    found.add(node);
    for (const input of node.inputs) if (input !== undefined) open.push(input);
  }
  return found;
}
