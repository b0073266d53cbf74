import type { Graph } from './graph.js';
import type { Node } from './node.js';
import type { Value } from './value.js';

/** The nodes that values are computed by. */
export function ancestors(...outputs: readonly Value[]): ReadonlySet<Node> {
  const found = new Set<Node>();
  const open = [...outputs];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    const node = value.producer;
    if (node === undefined || found.has(node)) continue;
    found.add(node);
    for (const input of node.inputs) if (input !== undefined) open.push(input);
  }
  return found;
}

/** The same, each behind what it reads. Throws GRAPH on a cycle. */
export function sortedAncestors(graph: Graph, ...outputs: readonly Value[]): Node[] {
  const needed = ancestors(...outputs);
  return graph.sorted().filter((node) => needed.has(node));
}

/** The nodes that values are computed by from `known` ones, each behind what it reads. Throws GRAPH on a cycle. */
export function sortedBetween(graph: Graph, known: (value: Value) => boolean, outputs: readonly Value[]): Node[] {
  const needed = new Set<Node>();
  const open = [...outputs];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    const node = value.producer;
    if (node === undefined || known(value) || needed.has(node)) continue;
    needed.add(node);
    for (const input of node.inputs) if (input !== undefined) open.push(input);
  }
  return graph.sorted().filter((node) => needed.has(node));
}
