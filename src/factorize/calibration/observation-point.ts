import type { Graph } from '../../graph/graph.js';
import type { Node } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import type { ShapeTable } from '../../ops/infer.js';
import { resolveWeight } from '../../ops/resolve-weight.js';
import { findActivation } from '../../rewrite/find-activation.js';
import type { FactorizableLayer } from '../../rewrite/layers.js';
import type { Activation } from '../../rewrite/types.js';

/** Where a layer's effect is compared: the argument of its activation, a·y + what other layers add. */
export interface ObservationPoint {
  readonly value: Value;
  /** a of each neuron. */
  readonly scale: Float64Array;
  /** What is applied to the value; linear also where an operator that is none of ours stands in between. */
  readonly activation: Activation;
}

const longestWalk = 8;

/**
 * Follows a layer's output through BatchNormalization, Add and Identity as far as nothing else reads it: up to the
 * activation, or up to where a residual sum is read by several.
 */
export function observationPoint(graph: Graph, layer: FactorizableLayer, shapes: ShapeTable): ObservationPoint {
  const scale = new Float64Array(layer.geometry.out).fill(layer.form === 'gemm' ? layer.node.float('alpha', 1) : 1);
  let value = layer.node.outputs[0]!;
  for (let step = 0; step < longestWalk; step++) {
    const [use, ...others] = value.uses;
    if (use === undefined || others.length > 0 || value.isOutput || use.index < 0) break;
    const next = through(graph, use.node, use.index, scale, shapes, value);
    if (next === undefined) break;
    value = next;
  }
  return { value, scale, activation: findActivation(graph, value, { isDirect: true }).activation };
}

/** The node's output where it is an affine function of the value channel by channel, which `scale` then includes. */
function through(
  graph: Graph,
  node: Node,
  index: number,
  scale: Float64Array,
  shapes: ShapeTable,
  value: Value,
): Value | undefined {
  const output = node.outputs[0];
  if (node.domain !== '' || output === undefined) return undefined;
  const dims = shapes.typeOf(output)?.dims;
  if (dims === undefined || String(dims) !== String(shapes.typeOf(value)?.dims)) return undefined;
  if (node.is('Identity') || node.is('Add')) return output;
  if (!node.is('BatchNormalization') || index !== 0 || node.int('training_mode', 0) !== 0) return undefined;
  const [factor, variance] = [1, 4].map((at) => {
    const input = node.inputs[at];
    return input === undefined ? undefined : resolveWeight(graph, input)?.data();
  });
  if (factor?.length !== scale.length || variance?.length !== scale.length) return undefined;
  const epsilon = node.float('epsilon', 1e-5);
  for (let i = 0; i < scale.length; i++) scale[i] = (scale[i]! * factor[i]!) / Math.sqrt(variance[i]! + epsilon);
  return output;
}
