import { LowrankError } from '../errors.js';
import { sortedBetween } from '../graph/ancestors.js';
import { hasBody } from '../graph/body-nodes.js';
import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import type { Emitter } from '../ops/emitter.js';
import { findOperator } from '../ops/registry.js';
import { atNode } from '../ops/support/fail.js';
import type { BatchStatistics } from '../ops/training.js';
import { backward, type TapeEntry } from './backward.js';
import type { BuildForward, MaskFactory } from './forward.js';
import { nodeEntry } from './node-entry.js';

type Outputs = readonly (Value | undefined)[];

/** What a node becomes in training, and how gradients come back through it. */
export interface TrainedNode {
  /** One per output of the node that is read. */
  readonly outputs: Outputs;
  readonly tape: readonly TapeEntry<Value, Value>[];
  readonly statistics?: BatchStatistics | undefined;
}

/** Of a node of the model that is trained, and its inputs in the training graph; undefined where it is as anywhere. */
export type TrainedForm = (e: Emitter, node: Node, inputs: Outputs) => TrainedNode | undefined;

/**
 * The forward pass in the model's own layout and operators: runs wherever the model does. Operators that do something
 * else in training (BatchNormalization) are emitted in their training form; `forms`, by operator type of ai.onnx, say what
 * a device does better in another way.
 */
export function copyForwardWith(forms: Readonly<Record<string, TrainedForm>>): BuildForward {
  return (e, source, bindings) => {
    const statistics: BatchStatistics[] = [];
    const tape: TapeEntry<Value, Value>[] = [];
    const mask = source.masks ?? (() => undefined);
    const { outputs, points = [] } = source;
    const all = copy(e, { ...source, outputs: [...outputs, ...points] }, bindings, (node, inputs) => {
      const form = node.domain === '' ? forms[node.opType]?.(e, node, inputs) : undefined;
      if (form !== undefined) {
        tape.push(...form.tape);
        if (form.statistics !== undefined) statistics.push(form.statistics);
        return form.outputs;
      }
      const first = e.graph.nodes.length;
      const results = emitTraining(e, node, inputs, mask, statistics);
      tape.push(...e.graph.nodes.slice(first).map((made) => nodeEntry(e, made)));
      return results;
    });
    return {
      outputs: all.slice(0, outputs.length),
      points: all.slice(outputs.length),
      statistics,
      backward: (gradients, wanted) => backward(tape, gradients, wanted, (a, b) => e.add(a, b)),
    };
  };
}

/** Without anything of a device. */
export const copyForward: BuildForward = copyForwardWith({});

/** Copies the nodes that `outputs` are computed by, as they infer, from what is bound on; gives the copies of `outputs`. */
export function copyNodes(
  e: Emitter,
  source: { readonly graph: Graph; readonly outputs: readonly Value[] },
  bindings: ReadonlyMap<Value, Value>,
): readonly Value[] {
  return copy(e, source, bindings, (node, inputs) => emitCopy(e, node, inputs));
}

function copy(
  e: Emitter,
  source: { readonly graph: Graph; readonly outputs: readonly Value[] },
  bindings: ReadonlyMap<Value, Value>,
  emitNode: (node: Node, inputs: Outputs) => Outputs,
): readonly Value[] {
  const values = new Map(bindings);
  for (const node of sortedBetween(source.graph, (value) => bindings.has(value), source.outputs)) {
    const inputs = node.inputs.map((value) => (value === undefined ? undefined : mapped(e, values, value)));
    const outputs = emitNode(node, inputs);
    node.outputs.forEach((value, i) => {
      const output = outputs[i];
      if (value !== undefined && output !== undefined) values.set(value, output);
    });
  }
  return source.outputs.map((output) => mapped(e, values, output));
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
  const opset = e.opsets.get(node.domain) ?? 1;
  const form = atNode(node, () => training({ node, opset, e, inputs, mask }));
  if (form.statistics !== undefined) statistics.push(form.statistics);
  return form.outputs;
}

function emitCopy(e: Emitter, node: Node, inputs: Outputs): Outputs {
  if (hasBody(node)) {
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
