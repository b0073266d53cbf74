import { LowrankError } from '../errors.js';
import type { Node } from '../graph/node.js';
import type { EmittedGraph } from './emitted.js';

/**
 * Throws UNSUPPORTED where two graphs that were emitted for two batch sizes differ in a byte: the batch is then baked into
 * one of them. The first node that differs is named.
 */
export function requireSameGraph(a: EmittedGraph, b: EmittedGraph): void {
  if (Buffer.compare(a.bytes(), b.bytes()) === 0) return;
  throw new LowrankError('UNSUPPORTED', 'the training graph depends on the batch size', {
    place: firstDifference(a, b) ?? `the ${a.model.graph.name} graph`,
    remedy: 'give --batch-size',
  });
}

function firstDifference(a: EmittedGraph, b: EmittedGraph): string | undefined {
  const others = b.model.graph.nodes;
  return a.model.graph.nodes.find((node, i) => describe(node) !== describe(others[i]))?.label;
}

/** A node with its attributes and the constants that it reads. */
function describe(node: Node | undefined): string {
  if (node === undefined) return '';
  const inputs = node.inputs.map((value) =>
    value?.tensor === undefined
      ? (value?.name ?? '')
      : `${value.tensor.dims.join()} ${Buffer.from(value.tensor.bytes()).toString('base64')}`,
  );
  const attributes = [...node.attributes].map(([name, attribute]) =>
    attribute.type === 'tensor' ? [name, attribute.value.dims] : [name, attribute],
  );
  return JSON.stringify([node.opType, node.domain, inputs, attributes], (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
}
