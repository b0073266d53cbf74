import { LowrankError } from '../errors.js';
import type { Model } from './model.js';
import type { Node } from './node.js';
import type { Value } from './value.js';

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
  const produced = new Set<Value>();
  for (const { outputs } of graph.nodes) for (const value of outputs) if (value !== undefined) produced.add(value);
  // Which inputs some use-list names: each must be named once.
  const known = new Map<Node, Set<number>>();
  for (const [name, value] of graph.values) {
    if (value.name !== name) fail(`value '${value.name}' is filed as '${name}'`, graph.name);
    if (name === '') fail('a value without a name', graph.name);
    if (value.producer !== undefined) {
      const { label } = value.producer;
      if (value.tensor !== undefined || value.isInput) fail(`'${name}' is both produced and given`, label);
      if (!produced.has(value)) fail(`'${name}' is not an output of its producer`, label);
    }
    const isRead = value.uses.length > 0 || value.isOutput;
    if (isRead && value.producer === undefined && value.tensor === undefined && !value.isInput) {
      fail(`'${name}' is read but nothing defines it`, value.uses[0]?.node.label ?? 'graph outputs');
    }
    for (const { node, index } of value.uses) {
      if (!nodes.has(node)) fail(`'${name}' is used by a node that is not in the graph`, node.label);
      if (index < 0) continue;
      const listed = known.get(node);
      if (node.inputs[index] !== value || listed?.has(index) === true) {
        fail(`use-list of '${name}' is wrong at input ${index}`, node.label);
      }
      if (listed === undefined) known.set(node, new Set([index]));
      else listed.add(index);
    }
  }
  const refuseStranger = (value: Value, place: string): void => {
    if (graph.values.get(value.name) !== value) fail(`'${value.name}' is not of this graph`, place);
  };
  for (const node of graph.nodes) {
    if (!model.opsets.has(node.domain) && !isImplicitDomain(model, node.domain)) {
      fail(`no opset is imported for domain '${node.domain === '' ? 'ai.onnx' : node.domain}'`, node.label);
    }
    node.inputs.forEach((value, index) => {
      if (value === undefined) return;
      refuseStranger(value, `input ${index} of ${node.label}`);
      if (known.get(node)?.has(index) !== true)
        fail(`input ${index} '${value.name}' does not know its reader`, node.label);
    });
    node.outputs.forEach((value, index) => {
      if (value === undefined) return;
      refuseStranger(value, `output ${index} of ${node.label}`);
      if (value.producer !== node) fail(`output ${index} '${value.name}' has another producer`, node.label);
    });
  }
  for (const value of graph.initializers) {
    refuseStranger(value, graph.name);
    if (value.tensor === undefined) fail(`initializer '${value.name}' has no data`, graph.name);
  }
  for (const value of [...graph.inputs, ...graph.outputs]) refuseStranger(value, graph.name);
  if (graph.outputs.length === 0) fail('the graph has no outputs', graph.name);
  graph.sorted();
}

/** onnxruntime's exports use its contrib domain without importing it, and functions bring their own. */
function isImplicitDomain(model: Model, domain: string): boolean {
  return domain === 'com.microsoft' || model.functions.some((name) => name.startsWith(`${domain}:`));
}
