import { LowrankError } from '../errors.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import type { Emitter } from '../ops/emitter.js';
import { findOperator } from '../ops/registry.js';
import type { BatchStatistics } from '../ops/training.js';
import { differentiate } from './differentiate.js';
import type { BuildForward, ForwardSource } from './forward.js';

/**
 * The forward pass in the model's own layout and operators: runs wherever the model does. Operators that do something
 * else in training (BatchNormalization) are emitted in their training form.
 */
export const copyForward: BuildForward = (e, source, bindings) => {
  const values = new Map(bindings);
  const statistics: BatchStatistics[] = [];
  const first = e.graph.nodes.length;
  const needed = ancestors(source.output);
  for (const node of source.graph.sorted()) {
    if (!needed.has(node)) continue;
    const inputs = node.inputs.map((value) => (value === undefined ? undefined : mapped(e, values, value)));
    const outputs = emitNode(e, source, node, inputs, statistics);
    node.outputs.forEach((value, i) => {
      const output = outputs[i];
      if (value !== undefined && output !== undefined) values.set(value, output);
    });
  }
  const nodes = e.graph.nodes.slice(first);
  const output = mapped(e, values, source.output);
  return {
    output,
    statistics,
    backward: (gradient, wanted) => differentiate(e, nodes, new Map([[output, gradient]]), wanted),
  };
};

function emitNode(
  e: Emitter,
  source: ForwardSource,
  node: Node,
  inputs: readonly (Value | undefined)[],
  statistics: BatchStatistics[],
): readonly (Value | undefined)[] {
  const training = findOperator(node.domain, node.opType)?.training;
  if (training !== undefined) {
    const opset = e.opsets.get(node.domain) ?? 1;
    const form = training({ node, opset, e, inputs, mask: source.masks ?? (() => undefined) });
    if (form.statistics !== undefined) statistics.push(form.statistics);
    return form.outputs;
  }
  if ([...node.attributes.values()].some(({ type }) => type === 'graph' || type === 'graphs')) {
    throw new LowrankError('UNSUPPORTED', `${node.opType} cannot be trained through: it runs graphs of its own`, {
      place: node.label,
      remedy: 'export the model without control flow',
    });
  }
  const { domain } = node;
  const options = { domain, outputs: node.outputs.length, name: node.id };
  return e.emitAll(node.opType, inputs, Object.fromEntries(node.attributes), options);
}

/** The value that stands for `value`; initializers that are no parameters are copied. */
function mapped(e: Emitter, values: Map<Value, Value>, value: Value): Value {
  const known = values.get(value);
  if (known !== undefined) return known;
  if (value.tensor === undefined) {
    throw new LowrankError('INTERNAL', `'${value.name}' has no counterpart in the training graph`);
  }
  const copy = e.graph.addInitializer(value.tensor.renamed(e.graph.uniqueName(value.name)));
  values.set(value, copy);
  return copy;
}

/** The nodes that `output` is computed by. */
function ancestors(output: Value): ReadonlySet<Node> {
  const found = new Set<Node>();
  const open = [output];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    const node = value.producer;
    if (node === undefined || found.has(node)) continue;
    found.add(node);
    for (const input of node.inputs) if (input !== undefined) open.push(input);
  }
  return found;
}
