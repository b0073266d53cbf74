import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { resolveWeight } from '../ops/resolve-weight.js';
import { type ActivationRegion, findRegion } from './activation-region.js';
import type { Activation } from './types.js';

/** Steps to look ahead: conv → BatchNormalization → Add → Identity … → activation is never longer in practice. */
const longestWalk = 8;

/** Operators that a layer's output may pass on its way to its activation. */
const passThrough = new Set([
  'Transpose',
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'BatchNormalization',
  'Add',
  'Identity',
  'InstanceNormalization',
  'GroupNormalization',
  'Dropout',
]);

/** Those that leave every number as it is. */
const rearranging = new Set(['Transpose', 'Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Identity', 'Dropout']);

/**
 * The activation that a value goes through, read from the graph: through BatchNormalization and Add, as one operator or
 * as the forms exporters write (x·Sigmoid(x); x·HardSigmoid(x); x·Clip(x + 3, 0, 6)/6; x·(1 + Erf(x/√2))/2). `linear`
 * where there is none, or where the value is read by several nodes that are not one activation. `unknown` names an
 * activation that is none of ours; `region` are its nodes where it is one. `isDirect`: only one that is applied to the
 * numbers as they are, and that is ours.
 */
export function findActivation(
  graph: Graph,
  start: Value,
  { isDirect = false }: { readonly isDirect?: boolean } = {},
): { readonly activation: Activation; readonly unknown?: string; readonly region?: ActivationRegion } {
  let value = start;
  for (let step = 0; step < longestWalk; step++) {
    const found = activationAt(graph, value);
    if (found !== undefined) return { activation: found };
    const [use, ...others] = value.uses;
    const isPassing = use !== undefined && others.length === 0 && passThrough.has(use.node.opType);
    const region = isPassing || isDirect ? undefined : findRegion(graph, value);
    if (region !== undefined) {
      return { activation: { kind: 'linear' }, unknown: region.nodes.map(({ opType }) => opType).join('+'), region };
    }
    if (use === undefined || others.length > 0 || value.isOutput || use.index < 0) break;
    const { node } = use;
    if (node.domain !== '' || !(isDirect ? rearranging : passThrough).has(node.opType)) {
      return nonlinear.has(node.opType) ? { activation: { kind: 'linear' }, unknown: node.opType } : linear;
    }
    const next = node.outputs[0];
    if (next === undefined) break;
    value = next;
  }
  return linear;
}

const linear = { activation: { kind: 'linear' } } as const;

/** Activations that exist but have no rule here: said, never silently taken for linear. */
const nonlinear = new Set(['Elu', 'Selu', 'Celu', 'Softplus', 'Softsign', 'Mish', 'ThresholdedRelu', 'PRelu', 'Erf']);

function activationAt(graph: Graph, value: Value): Activation | undefined {
  const readers = distinctReaders(value);
  if (readers.length === 1) return singleActivation(graph, readers[0]!, value);
  return composedActivation(graph, value, readers);
}

function distinctReaders(value: Value): Node[] {
  return [...new Set(value.uses.map(({ node }) => node))];
}

function singleActivation(graph: Graph, node: Node, value: Value): Activation | undefined {
  if (node.inputs[0] !== value) return undefined;
  if (node.domain === 'com.microsoft') {
    if (node.opType === 'QuickGelu' && Math.abs(node.float('alpha', 1.702) - 1) < 1e-6) return { kind: 'SiLU' };
    return node.opType === 'Gelu' ? { kind: 'Gelu' } : undefined;
  }
  if (node.domain !== '') return undefined;
  switch (node.opType) {
    case 'Relu':
      return capped(graph, node) ?? { kind: 'Relu' };
    case 'LeakyRelu':
      return { kind: 'LeakyRelu', alpha: node.float('alpha', 0.01) };
    case 'PRelu': {
      const slope = scalar(graph, node.inputs[1]);
      return slope === undefined ? undefined : { kind: 'LeakyRelu', alpha: slope };
    }
    case 'Clip':
      return clipOf(graph, node);
    case 'HardSwish':
      return { kind: 'HardSwish' };
    case 'HardSigmoid':
      return { kind: 'HardSigmoid', alpha: node.float('alpha', 0.2), beta: node.float('beta', 0.5) };
    case 'Sigmoid':
      return { kind: 'Sigmoid' };
    case 'Tanh':
      return { kind: 'Tanh' };
    case 'Gelu':
      return node.string('approximate', 'none') === 'none' ? { kind: 'Gelu' } : undefined;
    case 'Swish':
      return Math.abs(node.float('alpha', 1) - 1) < 1e-6 ? { kind: 'SiLU' } : undefined;
    default:
      return undefined;
  }
}

/** ReLU followed by Min(·, c), as TensorFlow writes ReLU6. */
function capped(graph: Graph, relu: Node): Activation | undefined {
  const output = relu.outputs[0];
  const reader = output?.uses.length === 1 && !output.isOutput ? output.uses[0]!.node : undefined;
  if (output === undefined || reader === undefined || !reader.is('Min')) return undefined;
  const max = scalar(graph, otherInput(reader, output));
  return max === undefined ? undefined : { kind: 'Clip', min: 0, max };
}

function clipOf(graph: Graph, node: Node): Activation | undefined {
  const bound = (index: number, attribute: string, fallback: number): number | undefined => {
    const value = node.inputs[index];
    return value === undefined ? node.float(attribute, fallback) : scalar(graph, value);
  };
  const min = bound(1, 'min', -Infinity);
  const max = bound(2, 'max', Infinity);
  if (min === undefined || max === undefined) return undefined;
  const isUnbounded = (limit: number): boolean => Math.abs(limit) > 1e30;
  if (isUnbounded(max)) return min === 0 ? { kind: 'Relu' } : undefined;
  return isUnbounded(min) ? undefined : { kind: 'Clip', min, max };
}

/** Activations of two readers or more: x times a gate of x. */
function composedActivation(graph: Graph, value: Value, readers: readonly Node[]): Activation | undefined {
  const product = readers.find((node) => node.is('Mul'));
  const gate = readers.find((node) => node !== product);
  if (gate === undefined || readers.length !== 2) return undefined;
  if (product !== undefined) {
    const other = otherInput(product, value);
    if (gate.is('Sigmoid') && other === gate.outputs[0]) return { kind: 'SiLU' };
    if (gate.is('HardSigmoid') && other === gate.outputs[0] && isSixth(gate)) return { kind: 'HardSwish' };
    if (gate.is('Add') && isHardGate(graph, gate, value, other)) return { kind: 'HardSwish' };
    if (isErfGate(graph, gate, value, other)) return { kind: 'Gelu' };
  }
  // x · 0.5 first, then times (1 + erf(x/√2)): two readers, Mul(x, 0.5) and Div(x, √2).
  return isErfPair(graph, value, readers) ? { kind: 'Gelu' } : undefined;
}

function isSixth(gate: Node): boolean {
  return near(gate.float('alpha', 0.2), 1 / 6) && near(gate.float('beta', 0.5), 0.5);
}

/** Clip(x + 3, 0, 6), divided by 6 before or after the product with x. */
function isHardGate(graph: Graph, add: Node, value: Value, factor: Value | undefined): boolean {
  if (!near(scalar(graph, otherInput(add, value)), 3)) return false;
  const clipped = single(add.outputs[0]);
  const isRelu6 = clipped !== undefined && isClip06(graph, clipped);
  if (!isRelu6) return false;
  const gateOutput = clipEnd(clipped).outputs[0];
  if (factor === gateOutput) {
    // x · Clip(x + 3, 0, 6), then / 6.
    const product = gateOutput?.uses[0]?.node;
    return product !== undefined && isSixthOf(graph, single(product.outputs[0]));
  }
  const scaled = single(gateOutput);
  return scaled !== undefined && isSixthOf(graph, scaled) && scaled.outputs[0] === factor;
}

function isClip06(graph: Graph, node: Node): boolean {
  const activation = node.is('Clip') ? clipOf(graph, node) : node.is('Relu') ? capped(graph, node) : undefined;
  return activation?.kind === 'Clip' && near(activation.min, 0) && near(activation.max, 6);
}

/** The last node of a Clip(0, 6): itself, or the Min behind a Relu. */
function clipEnd(node: Node): Node {
  return node.is('Relu') ? (single(node.outputs[0]) ?? node) : node;
}

function isSixthOf(graph: Graph, node: Node | undefined): boolean {
  if (node === undefined) return false;
  const constant = scalar(graph, node.inputs[1]) ?? scalar(graph, node.inputs[0]);
  return (node.is('Div') && near(scalar(graph, node.inputs[1]), 6)) || (node.is('Mul') && near(constant, 1 / 6));
}

/** Mul(x, 0.5 · (1 + erf(x/√2))) and Mul(x, 1 + erf(x/√2)) with the 0.5 behind. */
function isErfGate(graph: Graph, gate: Node, value: Value, factor: Value | undefined): boolean {
  const onePlus = erfPlusOne(graph, gate, value);
  if (onePlus === undefined) return false;
  if (onePlus === factor) return true;
  const halved = single(onePlus);
  return (
    halved !== undefined &&
    halved.is('Mul') &&
    near(scalar(graph, otherInput(halved, onePlus)), 0.5) &&
    halved.outputs[0] === factor
  );
}

function isErfPair(graph: Graph, value: Value, readers: readonly Node[]): boolean {
  const halves = readers.find((node) => node.is('Mul') && near(scalar(graph, otherInput(node, value)), 0.5));
  const gate = readers.find((node) => node !== halves);
  if (halves === undefined || gate === undefined) return false;
  const onePlus = erfPlusOne(graph, gate, value);
  const product = single(halves.outputs[0]);
  return onePlus !== undefined && product?.is('Mul') === true && otherInput(product, halves.outputs[0]!) === onePlus;
}

/** The value 1 + Erf(x/√2), starting at the division. */
function erfPlusOne(graph: Graph, division: Node, value: Value): Value | undefined {
  const byDiv = division.is('Div') && near(scalar(graph, division.inputs[1]), Math.SQRT2);
  const byMul = division.is('Mul') && near(scalar(graph, otherInput(division, value)), Math.SQRT1_2);
  if (!byDiv && !byMul) return undefined;
  const erf = single(division.outputs[0]);
  if (erf === undefined || !erf.is('Erf')) return undefined;
  const add = single(erf.outputs[0]);
  if (add === undefined || !add.is('Add') || !near(scalar(graph, otherInput(add, erf.outputs[0]!)), 1))
    return undefined;
  return add.outputs[0];
}

function single(value: Value | undefined): Node | undefined {
  return value !== undefined && value.uses.length === 1 && !value.isOutput ? value.uses[0]!.node : undefined;
}

function otherInput(node: Node, value: Value): Value | undefined {
  return node.inputs[0] === value ? node.inputs[1] : node.inputs[0];
}

/** The number in a constant of one element. */
function scalar(graph: Graph, value: Value | undefined): number | undefined {
  if (value === undefined) return undefined;
  const weight = resolveWeight(graph, value);
  return weight !== undefined && weight.tensor.size === 1 ? weight.tensor.toNumbers()[0] : undefined;
}

function near(a: number | undefined, b: number): boolean {
  return a !== undefined && Math.abs(a - b) <= 1e-4 * Math.max(1, Math.abs(b));
}
