import type { Graph } from '../graph/graph.js';
import { int } from '../graph/attributes.js';
import type { Node, NodeSpec } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { findOperator } from '../ops/registry.js';
import { resolveWeight } from '../ops/resolve-weight.js';
import { staticNumbers } from '../ops/support/static-numbers.js';
import { type Model, opsetOf } from '../graph/model.js';

/** Operators whose outputs are drawn anew in every run. */
export const random: ReadonlySet<string> = new Set([
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
  'Bernoulli',
  'Multinomial',
]);

/**
 * Puts a model that was exported in training form (TrainingMode.TRAINING or PRESERVE in PyTorch) into inference form, in
 * place: BatchNormalization of activations by its stored running statistics, Dropout that drops nothing. Gives what was
 * changed, and what stays random, one line each, for the report; a model in inference form is left as it is.
 *
 * BatchNormalization stays in training form where it has no running statistics: over weights (weight standardization), and
 * with statistics that are computed or constants of the exporter (`track_running_stats=False`).
 */
export function toInferenceForm(model: Model): readonly string[] {
  const { graph } = model;
  let normalizations = 0;
  let dropouts = 0;
  const isOld = opsetOf(model) < firstWithoutTest;
  let seen: ReadonlySet<Value> | undefined;
  for (const node of [...graph.nodes]) {
    if (isOld && (node.is('BatchNormalization') || node.is('Dropout')) && node.int('is_test', 0) === 0) {
      if (!sayInference(graph, node, { ...Object.fromEntries(node.attributes), is_test: int(1) })) continue;
      if (node.is('Dropout')) dropouts++;
      else normalizations++;
    } else if (node.is('BatchNormalization') && isTrainingForm(node)) {
      if (!hasRunningStatistics(graph, node, (seen ??= valuesOfImages(graph)))) continue;
      const { training_mode: _, ...attributes } = Object.fromEntries(node.attributes);
      if (sayInference(graph, node, attributes)) normalizations++;
    } else if (node.is('Dropout') && staticNumbers(node.inputs[2])?.[0] === 1) {
      graph.setInput(node, 2, undefined);
      node.inputs.length = 2;
      dropouts++;
    }
  }
  const changed = [
    ...(normalizations === 0 ? [] : [`${normalizations} BatchNormalization`]),
    ...(dropouts === 0 ? [] : [`${dropouts} Dropout`]),
  ];
  const drawn = graph.nodes.find((node) => node.domain === '' && random.has(node.opType));
  return [
    ...(changed.length === 0
      ? []
      : [`the model is in training form: ${changed.join(' and ')} put into inference form`]),
    ...(drawn === undefined
      ? []
      : [
          `the model draws random numbers in every run (${drawn.label}): export it in inference form, after model.eval()`,
        ]),
  ];
}

/** Up to ai.onnx 6 `is_test` chose between training and inference. */
const firstWithoutTest = 7;

/** Values that depend on what is in the inputs, not on their shapes alone. */
export function valuesOfImages(graph: Graph): ReadonlySet<Value> {
  const seen = new Set(graph.inputs.filter(({ tensor }) => tensor === undefined));
  for (const node of graph.sorted()) {
    if (findOperator(node.domain, node.opType)?.gradient.kind === 'zero') continue;
    if (!node.inputs.some((value) => value !== undefined && seen.has(value))) continue;
    for (const value of node.outputs) if (value !== undefined) seen.add(value);
  }
  return seen;
}

/** Whether BatchNormalization is in the form that trains: since ai.onnx 14 an attribute says it, before more than one output does. */
export function isTrainingForm(node: Node): boolean {
  return node.int('training_mode', 0) !== 0 || node.outputs.slice(1).some((value) => value !== undefined);
}

/**
 * Whether it normalizes activations by statistics that were tracked: initializers, maybe behind an Identity. What stands in a
 * Constant node is a stand-in that the exporter wrote for statistics that were never tracked.
 */
export function hasRunningStatistics(graph: Graph, node: Node, seen: ReadonlySet<Value>): boolean {
  const [x, , , mean, variance] = node.inputs;
  if (x === undefined || !seen.has(x)) return false;
  return [mean, variance].every(
    (value) => value !== undefined && resolveWeight(graph, value)?.source.tensor !== undefined,
  );
}

/** The node with its first output alone, and other attributes; false, and nothing changed, where the other outputs are read. */
function sayInference(graph: Graph, node: Node, attributes: NodeSpec['attributes']): boolean {
  const { opType, name, inputs, outputs } = node;
  if (outputs.slice(1).some((value) => value !== undefined && (value.uses.length > 0 || value.isOutput))) return false;
  graph.replaceNode(node, () => [
    { opType, name, inputs: [...inputs], outputs: [outputs[0]], attributes: attributes! },
  ]);
  return true;
}
