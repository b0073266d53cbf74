import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import type { Emitter } from '../ops/emitter.js';
import { backward } from './backward.js';
import { nodeEntry } from './node-entry.js';

/**
 * Emits the gradients of `wanted`, given gradients of values that depend on them, through `nodes` (in topological order),
 * by the rules of their operators. A value that nothing depends on is missing from the result.
 * Throws UNSUPPORTED for an operator without a gradient, naming it.
 */
export function differentiate(
  e: Emitter,
  nodes: readonly Node[],
  seeds: ReadonlyMap<Value, Value>,
  wanted: readonly Value[],
): ReadonlyMap<Value, Value> {
  const tape = nodes.map((node) => nodeEntry(e, node));
  return backward(tape, seeds, wanted, (a, b) => e.add(a, b));
}
