import { int, ints } from '../graph/attributes.js';
import { type Model, opsetOf } from '../graph/model.js';
import type { Graph } from '../graph/graph.js';
import type { Node, NodeSpec } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { Tensor } from '../onnx/tensor.js';
import type { PassContext } from './runner.js';

/** How a node is spelled out; why it cannot be; undefined where it is none of those that are. */
export type Spelling = (() => readonly NodeSpec[]) | string | undefined;

/** Puts others in the place of every node that `spellingOf` spells out, and refuses those that it cannot. Gives how many it did. */
export function spellOutEach(
  graph: Graph,
  refuse: PassContext['refuse'],
  spellingOf: (node: Node) => Spelling,
): number {
  let changes = 0;
  for (const node of [...graph.nodes]) {
    const spelling = spellingOf(node);
    if (spelling === undefined) continue;
    if (typeof spelling === 'string') {
      refuse(node, spelling);
      continue;
    }
    graph.replaceNode(node, spelling);
    changes++;
  }
  return changes;
}

/** Dimensions of a node's inputs; undefined where there is none, or it is not known. */
export function inputDims(node: Node, shapes: PassContext['shapes']): readonly (readonly number[] | undefined)[] {
  return node.inputs.map((value) => (value === undefined ? undefined : shapes.typeOf(value)?.dims));
}

/** Split along the last axis into outputs of these sizes, which are an attribute before ai.onnx 13; its names are made unique. */
export function splitLast(
  model: Model,
  names: { readonly node: string; readonly sizes: string },
  input: Value,
  sizes: readonly number[],
  outputs: NodeSpec['outputs'],
): NodeSpec {
  const { graph } = model;
  const isInput = opsetOf(model) >= 13;
  const list = (): Value => graph.addInitializer(Tensor.ofInts(graph.uniqueName(names.sizes), [sizes.length], sizes));
  return {
    opType: 'Split',
    name: graph.uniqueNodeName(names.node),
    inputs: isInput ? [input, list()] : [input],
    outputs,
    attributes: { axis: int(-1), ...(isInput ? {} : { split: ints(sizes) }) },
  };
}

/** Nodes that will stand in the place of one, as they are made. */
export interface Replacement {
  readonly specs: NodeSpec[];
  /** A node with one output, which is a new value of the graph unless one is given. */
  emit(opType: string, inputs: readonly Value[], attributes?: NodeSpec['attributes'], output?: Value): Value;
}

/** For `graph.replaceNode`; names derive from those of `node`, those of nodes with `label`. */
export function replacementOf(graph: Graph, node: Node, label: string): Replacement {
  const specs: NodeSpec[] = [];
  return {
    specs,
    emit: (opType, inputs, attributes = {}, output = graph.addValue(graph.uniqueName(`${node.id}.${opType}`))) => {
      const name = graph.uniqueNodeName(`${node.id}.${label}.${specs.length}`);
      specs.push({ opType, inputs, outputs: [output], attributes, name });
      return output;
    },
  };
}
