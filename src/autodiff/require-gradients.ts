import { sortedAncestors } from '../graph/ancestors.js';
import type { Value } from '../graph/value.js';
import { isFloatType } from '../onnx/data-type.js';
import { findOperator } from '../ops/registry.js';
import type { ForwardSource } from './forward.js';
import { noGradient } from './node-entry.js';

/**
 * Throws UNSUPPORTED where a gradient of what `source` computes reaches an operator that has none on its way to `wanted`: before
 * anything is emitted, so that the error names the nodes of the model.
 */
export function requireGradients(
  { graph, outputs, points = [], shapes }: Pick<ForwardSource, 'graph' | 'outputs' | 'points' | 'shapes'>,
  wanted: readonly Value[],
): void {
  const nodes = sortedAncestors(graph, ...outputs, ...points);
  const isReal = (value: Value): boolean => isFloatType(shapes.typeOf(value)?.dataType ?? 1);
  const dependent = new Set(wanted);
  for (const { opType, domain, inputs, outputs: results } of nodes) {
    if (findOperator(domain, opType)?.gradient.kind === 'zero') continue;
    if (!inputs.some((value) => value !== undefined && dependent.has(value))) continue;
    for (const value of results) if (value !== undefined && isReal(value)) dependent.add(value);
  }
  const reached = new Set([...outputs, ...points]);
  for (const node of nodes.toReversed()) {
    const operator = findOperator(node.domain, node.opType);
    const inputs = node.inputs.filter((value) => value !== undefined && dependent.has(value));
    if (operator?.gradient.kind === 'zero' || inputs.length === 0) continue;
    if (!node.outputs.some((value) => value !== undefined && reached.has(value))) continue;
    const { gradient, training } = operator ?? {};
    // What is emitted in another form in training has the gradient of that form.
    if (training === undefined && gradient?.kind !== 'rule') {
      throw noGradient(node, gradient?.kind === 'none' ? gradient.reason : undefined);
    }
    for (const value of inputs) reached.add(value!);
  }
}
