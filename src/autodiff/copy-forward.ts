import { LowrankError } from '../errors.js';
import { sortedAncestors } from '../graph/ancestors.js';
import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import type { Emitter } from '../ops/emitter.js';
import { findOperator } from '../ops/registry.js';
import type { BatchStatistics } from '../ops/training.js';
import { differentiate } from './differentiate.js';
import type { BuildForward, MaskFactory } from './forward.js';

/**
 * The forward pass in the model's own layout and operators: runs wherever the model does. Operators that do something
 * else in training (BatchNormalization) are emitted in their training form.
 */
export const copyForward: BuildForward = (e, source, bindings) => {
  const statistics: BatchStatistics[] = [];
  const first = e.graph.nodes.length;
  const mask = source.masks ?? (() => undefined);
  const output = copy(e, source, bindings, (node, inputs) => emitTraining(e, node, inputs, mask, statistics));
  const nodes = e.graph.nodes.slice(first);
  return {
    output,
    statistics,
    backward: (gradient, wanted) => differentiate(e, nodes, new Map([[output, gradient]]), wanted),
  };
};

/** Copies the nodes that `output` is computed by, as they infer; gives the copy of `output`. */
export function copyNodes(
  e: Emitter,
  source: { readonly graph: Graph; readonly output: Value },
  bindings: ReadonlyMap<Value, Value>,
): Value {
  return copy(e, source, bindings, (node, inputs) => emitCopy(e, node, inputs));
}

type Outputs = readonly (Value | undefined)[];

function copy(
  e: Emitter,
  source: { readonly graph: Graph; readonly output: Value },
  bindings: ReadonlyMap<Value, Value>,
  emitNode: (node: Node, inputs: Outputs) => Outputs,
): Value {
  const values = new Map(bindings);
  for (const node of sortedAncestors(source.graph, source.output)) {
    const inputs = node.inputs.map((value) => (value === undefined ? undefined : mapped(e, values, value)));
    const outputs = emitNode(node, inputs);
    node.outputs.forEach((value, i) => {
      const output = outputs[i];
      if (value !== undefined && output !== undefined) values.set(value, output);
    });
  }
  return mapped(e, values, source.output);
}

/** A node in its training form, of which it gives the outputs; what it saw of the batch goes to `statistics`. */
export function emitTraining(
  e: Emitter,
  node: Node,
  inputs: Outputs,
  mask: MaskFactory,
  statistics: BatchStatistics[],
): Outputs {
  const training = findOperator(node.domain, node.opType)?.training;
  if (training === undefined) return emitCopy(e, node, inputs);
  const form = training({ node, opset: e.opsets.get(node.domain) ?? 1, e, inputs, mask });
  if (form.statistics !== undefined) statistics.push(form.statistics);
  return form.outputs;
}

function emitCopy(e: Emitter, node: Node, inputs: Outputs): Outputs {
  if ([...node.attributes.values()].some(({ type }) => type === 'graph' || type === 'graphs')) {
    throw new LowrankError('UNSUPPORTED', `${node.opType} cannot be trained through: it runs graphs of its own`, {
      place: node.label,
      remedy: 'export the model without control flow',
    });
  }
  const { domain } = node;
  const inference = findOperator(domain, node.opType)?.inference;
  if (inference !== undefined) return inference({ node, e, inputs });
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
  const stored = e.graph.addInitializer(value.tensor.renamed(e.graph.uniqueName(value.name)));
  values.set(value, stored);
  return stored;
}
