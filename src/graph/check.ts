import { LowrankError } from '../errors.js';
import type { Model } from './model.js';
import type { Node } from './node.js';

/**
 * Checks what ONNX IR demands of a graph and what our use-lists promise: every value has one definition, every reader
 * is in the use-list of what it reads, nothing is read before it is defined (no cycles), every domain has an opset.
 * Throws GRAPH naming the node.
 */
export function checkModel(model: Model): void {
  const { graph } = model;
  const fail = (fact: string, place: string): never => {
    throw new LowrankError('GRAPH', fact, { place });
  };
  const nodes = new Set<Node>(graph.nodes);
  if (nodes.size !== graph.nodes.length) fail('a node stands twice in the graph', graph.name);
  for (const [name, value] of graph.values) {
    if (value.name !== name) fail(`value '${value.name}' is filed as '${name}'`, graph.name);
    if (name === '') fail('a value without a name', graph.name);
    if (value.producer !== undefined && (value.tensor !== undefined || value.isInput)) {
      fail(`'${name}' is both produced and given`, value.producer.label);
    }
    const isRead = value.uses.length > 0 || value.isOutput;
    if (isRead && value.producer === undefined && value.tensor === undefined && !value.isInput) {
      fail(`'${name}' is read but nothing defines it`, value.uses[0]?.node.label ?? 'graph outputs');
    }
    for (const { node, index } of value.uses) {
      if (!nodes.has(node)) fail(`'${name}' is used by a node that is not in the graph`, node.label);
      if (index >= 0 && node.inputs[index] !== value)
        fail(`use-list of '${name}' is wrong at input ${index}`, node.label);
    }
  }
  for (const node of graph.nodes) {
    if (!model.opsets.has(node.domain) && !isImplicitDomain(model, node.domain)) {
      fail(`no opset is imported for domain '${node.domain === '' ? 'ai.onnx' : node.domain}'`, node.label);
    }
    node.inputs.forEach((value, index) => {
      if (value === undefined) return;
      if (graph.values.get(value.name) !== value)
        fail(`input ${index} '${value.name}' is not of this graph`, node.label);
      const isListed = value.uses.some((use) => use.node === node && use.index === index);
      if (!isListed) fail(`input ${index} '${value.name}' does not know its reader`, node.label);
    });
    node.outputs.forEach((value, index) => {
      if (value !== undefined && value.producer !== node)
        fail(`output ${index} '${value.name}' has another producer`, node.label);
    });
  }
  for (const value of graph.initializers)
    if (value.tensor === undefined) fail(`initializer '${value.name}' has no data`, graph.name);
  if (graph.outputs.length === 0) fail('the graph has no outputs', graph.name);
  graph.sorted();
}

/** onnxruntime's exports use its contrib domain without importing it, and functions bring their own. */
function isImplicitDomain(model: Model, domain: string): boolean {
  return domain === 'com.microsoft' || model.functions.some((name) => name.startsWith(`${domain}:`));
}
