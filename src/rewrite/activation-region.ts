import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { nonlinearElementWise } from '../ops/element-wise.js';
import { resolveWeight } from '../ops/resolve-weight.js';

/** Nodes that compute a function of one value element by element, its own numbers and one for each channel aside. */
export interface ActivationRegion {
  readonly input: Value;
  readonly output: Value;
  /** In an order in which they can be run. */
  readonly nodes: readonly Node[];
  /** What they read beside each other: numbers, one or one for each channel. */
  readonly constants: ReadonlyMap<Value, Float32Array>;
}

/** Element-wise operators that do not bend what goes through them, unless both factors are computed. */
const straight = new Set(['Add', 'Sub', 'Mul', 'Div', 'Neg', 'Identity']);
const ofMicrosoft = new Set(['Gelu', 'QuickGelu', 'FastGelu']);

/** Longer ones are no activations. */
const mostNodes = 16;

/**
 * The smallest region behind `input` whose only way out is its last value, and that is no straight line; undefined where
 * there is none: other layers read `input` or what comes of it, or nothing bends it.
 */
export function findRegion(graph: Graph, input: Value): ActivationRegion | undefined {
  if (input.uses.length === 0 || input.isOutput) return undefined;
  const constants = new Map<Value, Float32Array>();
  const nodes: Node[] = [];
  const members = new Set<Node>();
  const computed = [input];
  while (nodes.length < mostNodes) {
    const next = nextNode(graph, computed, members, constants);
    const output = next?.outputs[0];
    if (next === undefined || output === undefined) return undefined;
    nodes.push(next);
    members.add(next);
    computed.push(output);
    const open = computed.filter(
      ({ uses, isOutput }) => isOutput || uses.length === 0 || uses.some(({ node }) => !members.has(node)),
    );
    if (open.length === 1 && open[0] === output && nodes.some((node) => bends(node, constants))) {
      return { input, output, nodes, constants };
    }
  }
  return undefined;
}

/** A node that can be run on what is computed; its constants are noted. */
function nextNode(
  graph: Graph,
  computed: readonly Value[],
  members: ReadonlySet<Node>,
  constants: Map<Value, Float32Array>,
): Node | undefined {
  for (const value of computed) {
    for (const { node, index } of value.uses) {
      if (index < 0 || members.has(node) || !isPointwise(node)) continue;
      const others = node.inputs.filter((input) => input !== undefined && !computed.includes(input));
      const found = others.map((other) => [other!, numbersOf(graph, other!)] as const);
      if (found.some(([, numbers]) => numbers === undefined)) continue;
      for (const [other, numbers] of found) constants.set(other, numbers!);
      return node;
    }
  }
  return undefined;
}

function isPointwise(node: Node): boolean {
  if (node.domain === 'com.microsoft') return ofMicrosoft.has(node.opType) && node.inputs.length === 1;
  if (node.domain !== '' || node.outputs.length !== 1) return false;
  // Bounds as attributes are of opsets before 11.
  if (node.is('Clip') && node.attributes.size > 0) return false;
  return nonlinearElementWise.has(node.opType) || straight.has(node.opType);
}

function bends(node: Node, constants: ReadonlyMap<Value, Float32Array>): boolean {
  if (!straight.has(node.opType)) return true;
  const isFree = (index: number): boolean => !constants.has(node.inputs[index]!);
  return (node.is('Mul') && isFree(0) && isFree(1)) || (node.is('Div') && isFree(1));
}

/** The numbers of a constant: one, or one for each channel (all other dimensions are 1). */
function numbersOf(graph: Graph, value: Value): Float32Array | undefined {
  const weight = resolveWeight(graph, value);
  if (weight === undefined || weight.dims.filter((dim) => dim !== 1).length > 1) return undefined;
  return weight.data();
}
