import type { Graph } from '../../graph/graph.js';
import { int } from '../../graph/attributes.js';
import type { Node } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import { Tensor } from '../../onnx/tensor.js';
import { movedTo } from './place.js';
import { type Edit, obstacle, type Operand } from './rule.js';

/** Input `index` of a node becomes these numbers. */
export function giveNumbers(node: Node, index: number, numbers: readonly number[]): Edit {
  return (graph) => {
    const old = node.inputs[index]!;
    graph.setInput(node, index, ints(graph, `${old.name}.open`, numbers));
    graph.removeIfUnused(old);
  };
}

/** A node whose output is input 0 in another shape becomes a Reshape. */
export function becomeReshape(node: Node, target: readonly number[]): Edit {
  return (graph) => {
    const { name, outputs } = node;
    const rest = node.inputs.slice(1);
    const shape = ints(graph, `${node.id}.open`, target);
    graph.replaceNode(node, () => [
      { opType: 'Reshape', name, inputs: [node.inputs[0], shape], outputs: [outputs[0]] },
    ]);
    for (const value of rest) if (value !== undefined) graph.removeIfUnused(value);
  };
}

/** Gather from the block of each image, where the axis holds the images one behind another: `target` is what it gives. */
export function gatherInBlocks(node: Node, blocks: readonly number[], target: readonly number[]): Edit {
  return (graph) => {
    const [data, indices] = node.inputs as [Value, Value];
    const { name } = node;
    const between = (label: string): Value => graph.addValue(graph.uniqueName(`${node.id}.${label}`));
    const [apart, picked] = [between('apart'), between('picked')];
    const [from, to] = [ints(graph, `${node.id}.blocks`, blocks), ints(graph, `${node.id}.open`, target)];
    graph.replaceNode(node, () => [
      { opType: 'Reshape', name: graph.uniqueNodeName(apart.name), inputs: [data, from], outputs: [apart] },
      { opType: 'Gather', name, inputs: [apart, indices], outputs: [picked], attributes: { axis: int(1) } },
      { opType: 'Reshape', name: graph.uniqueNodeName(picked.name), inputs: [picked, to], outputs: [node.outputs[0]] },
    ]);
  };
}

function ints(graph: Graph, base: string, numbers: readonly number[]): Value {
  return graph.addInitializer(Tensor.ofInts(graph.uniqueName(base), [numbers.length], numbers));
}

/** Numbers of which one is the size of an axis, as a value that is computed in front of `node`. */
function withSize(graph: Graph, node: Node, numbers: readonly number[], at: number, like: Operand): Value {
  const part = (label: string, elements: readonly number[]): Value => ints(graph, `${node.id}.${label}`, elements);
  const emit = (opType: string, inputs: readonly Value[], attributes = {}): Value => {
    const output = graph.addValue(graph.uniqueName(`${node.id}.batch`));
    const name = graph.uniqueNodeName(output.name);
    graph.addNode({ opType, inputs, outputs: [output], attributes, name }, { before: node });
    return output;
  };
  const size = emit('Gather', [emit('Shape', [like.value]), part('axis', [like.place!.axis])], { axis: int(0) });
  const parts = [
    ...(at === 0 ? [] : [part('before', numbers.slice(0, at))]),
    size,
    ...(at === numbers.length - 1 ? [] : [part('behind', numbers.slice(at + 1))]),
  ];
  return parts.length === 1 ? size : emit('Concat', parts, { axis: int(0) });
}

/** Input `index` of a node becomes numbers of which number `at` is the size of the axis of `like` that holds the images. */
export function giveSizes(node: Node, index: number, numbers: readonly number[], at: number, like: Operand): Edit {
  return (graph) => {
    const old = node.inputs[index]!;
    graph.setInput(node, index, withSize(graph, node, numbers, at, like));
    graph.removeIfUnused(old);
  };
}

/**
 * An input that is the same for all images is repeated for each of them, along `axis`, as `like` holds them. Throws an
 * obstacle where that is not one element of the axis for each image.
 */
export function repeatForImages(node: Node, index: number, shared: Operand, axis: number, like: Operand): Edit {
  const { outer, inner } = movedTo(like.place!, axis);
  if (shared.dims[axis] !== 1 || outer * inner !== 1) {
    throw obstacle(`'${shared.value.name}' would have to be repeated for every image`);
  }
  return (graph) => {
    const target = withSize(graph, node, Array<number>(shared.dims.length).fill(1), axis, like);
    const output = graph.addValue(graph.uniqueName(`${shared.value.name}.repeated`));
    const name = graph.uniqueNodeName(output.name);
    graph.addNode({ opType: 'Expand', inputs: [shared.value, target], outputs: [output], name }, { before: node });
    graph.setInput(node, index, output);
  };
}

export function allEdits(edits: readonly Edit[]): Edit | undefined {
  if (edits.length === 0) return undefined;
  return (graph) => {
    for (const edit of edits) edit(graph);
  };
}
