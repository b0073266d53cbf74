import type { Tensor } from '../onnx/tensor.js';
import type { Graph } from '../graph/graph.js';
import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Use, Value } from '../graph/value.js';
import { isFloatType } from '../onnx/data-type.js';
import { resolveWeight } from '../ops/resolve-weight.js';
import { hasConstantName } from '../ops/support/constant-name.js';
import { operandOperators, statisticInputs, weightInputs } from '../ops/support/weight-inputs.js';
import { valuesOfImages } from './inference-form.js';

export const tieNames = ['auto', 'always', 'never'] as const;
/**
 * Which initializers that several layers read are one parameter: all but those of equal elements (`auto`), all, none.
 */
export type TieName = (typeof tieNames)[number];

/** An initializer that layers of their own read, and what stands for it where it does not stand itself. */
export interface Untied {
  readonly name: string;
  readonly copies: readonly string[];
}

/**
 * Gives every layer its own initializer where an exporter stored equal tensors once: PyTorch's default exporter keeps one
 * tensor of zeros for all fresh biases and running means of a size. With `auto` these are initializers whose elements are
 * all one number, read as weights, biases, operands or running statistics by several nodes; nodes that also share a stored
 * tensor of other elements are one layer that is run several times, and keep sharing. A weight and a running statistic are
 * never one. Numbers of the code (one element, an exporter's name) are left out. With `never` it is all initializers
 * that several nodes read so. The first reader keeps the name; the copies are called `<name>.2`, `<name>.3`, …, the same
 * for the same model. `only`: copies that are made; other readers keep the original.
 */
export function untie({ graph }: Model, tie: TieName, only?: ReadonlySet<string>): readonly Untied[] {
  if (tie === 'always') return [];
  const order = new Map(graph.sorted().map((node, i) => [node, i]));
  const seen = valuesOfImages(graph);
  const changes: { readonly value: Value; readonly groups: readonly (readonly Use[])[] }[] = [];
  const made = graph.nodes.flatMap(({ outputs }) => outputs.filter((value) => value !== undefined));
  for (const value of [...graph.initializers, ...made]) {
    const tensor = storedIn(value);
    if (tensor === undefined || value.uses.length < 2 || !isFloatType(tensor.dataType)) continue;
    if (tensor.size < 2 && hasConstantName(value)) continue;
    const isStored = value.tensor !== undefined;
    const uses = value.uses.filter((use) => readsWeight(use, seen) && (isStored || !isOperand(use)));
    const isOne = isOneNumber(tensor);
    const isBoth = uses.some(isStatistic) && !uses.every(isStatistic);
    if (uses.length < 2 || (tie === 'auto' && !isOne && !isBoth)) continue;
    uses.sort((a, b) => order.get(a.node)! - order.get(b.node)! || a.index - b.index);
    const groups = new Map<string, Use[]>();
    for (const use of uses) {
      const apart = tie === 'never' ? `${order.get(use.node)} ${use.index}` : layerOf(graph, use, order);
      const key = tie === 'auto' && !isOne ? String(isStatistic(use)) : apart;
      groups.set(key, [...(groups.get(key) ?? []), use]);
    }
    if (groups.size > 1) changes.push({ value, groups: [...groups.values()] });
  }
  return changes.flatMap(({ value, groups }) => {
    const copies = groups.slice(1).flatMap((uses, i) => {
      const name = copyName(graph, value.name, i + 2);
      if (only?.has(name) === false) return [];
      const copy = graph.addInitializer(storedIn(value)!.renamed(name));
      for (const { node, index } of uses) graph.setInput(node, index, copy);
      return [name];
    });
    return copies.length === 0 ? [] : [{ name: value.name, copies }];
  });
}

/** The tensor of an initializer, of an Identity of one, or of a Constant node, which become initializers later. */
function storedIn(value: Value): Tensor | undefined {
  const { tensor, producer } = value;
  if (tensor !== undefined || producer === undefined) return tensor;
  if (producer.is('Constant')) return producer.tensor('value');
  return producer.is('Identity') ? producer.inputs[0]?.tensor : undefined;
}

function isStatistic({ node, index }: Use): boolean {
  return node.domain === '' && statisticInputs[node.opType]?.includes(index) === true;
}

function isOperand({ node }: Use): boolean {
  return operandOperators.has(node.opType);
}

/** Whether all elements are one number: what layers start with, and so what is equal by chance. */
function isOneNumber(tensor: Tensor): boolean {
  if (tensor.size === 0) return false;
  const elements = tensor.toFloat32();
  return elements.every((element) => Object.is(element, elements[0]));
}

/** Not `uniqueName`: what it gives depends on which copies were made before. */
function copyName(graph: Graph, name: string, number: number): string {
  const copy = `${name}.${number}`;
  return graph.value(copy) === undefined ? copy : graph.uniqueName(`${name}.copy.${number}`);
}

/** Whether a node reads it as a weight or a statistic, or adds it to, or multiplies by it, what depends on the images. */
function readsWeight({ node, index }: Use, seen: ReadonlySet<Value>): boolean {
  if (index < 0) return false;
  const isOwn = weightInputs[node.opType]?.includes(index) === true || isStatistic({ node, index });
  if (!isOwn && !isOperand({ node, index })) return false;
  return node.inputs.some((other, i) => i !== index && other !== undefined && seen.has(other));
}

/**
 * A key that readers of the same layer have in common: what other stored tensors, of more than one number, the node reads, or
 * the layer whose result it is added to; its place in the order where there are none.
 */
function layerOf(graph: Graph, { node, index }: Use, order: ReadonlyMap<Node, number>): string {
  const before = node.inputs.flatMap((value, i) =>
    i !== index && value?.producer !== undefined && weightInputs[value.producer.opType] !== undefined
      ? [value.producer]
      : [],
  );
  for (const reader of operandOperators.has(node.opType) ? [node, ...before] : [node]) {
    const others = reader.inputs.flatMap((value) => {
      const stored = value === undefined ? undefined : resolveWeight(graph, value)?.source;
      const tensor = stored?.tensor;
      return tensor === undefined || tensor.size < 2 || isOneNumber(tensor) ? [] : [stored!.name];
    });
    if (others.length > 0) return `${others.join()} ${index}`;
  }
  return `${order.get(node)} ${index}`;
}
