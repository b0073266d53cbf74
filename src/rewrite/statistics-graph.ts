import type { Graph } from '../graph/graph.js';
import { int, ints } from '../graph/attributes.js';
import { type Model, opsetOf } from '../graph/model.js';
import type { Node, NodeSpec } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { FLOAT, INT64 } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import { inferShapes, type ShapeTable } from '../ops/infer.js';
import { resolveWeight } from '../ops/resolve-weight.js';
import { eliminateDeadNodes } from '../passes/eliminate-dead-nodes.js';
import { raiseOpset } from '../passes/raise-opset.js';
import { runPasses } from '../passes/runner.js';
import { notOpened, openBatch, redeclare } from '../passes/open-batch.js';
import type { Kept } from '../contracts/convert.js';

/** Outputs that tell what one BatchNormalization saw. */
export interface Observed {
  /** The name of its first output, which it has in the model too. */
  readonly layer: string;
  /** float32, [1, C, 1 …]. */
  readonly mean: string;
  /** float32, biased. */
  readonly variance: string;
  /** int64: the dims of its input. */
  readonly shape: string;
}

/** Why the statistics of a BatchNormalization are not estimated; undefined where they are. */
export function reasonToKeep(graph: Graph, node: Node): string | undefined {
  if (node.int('training_mode', 0) !== 0 || node.outputs.slice(1).some((value) => value !== undefined)) {
    return 'it is in training form';
  }
  if (node.int('spatial', 1) === 0) return 'it normalizes every element on its own (spatial = 0)';
  const isStored = [3, 4].every((index) => {
    const value = node.inputs[index];
    return value !== undefined && resolveWeight(graph, value) !== undefined;
  });
  return isStored ? undefined : 'its statistics are not stored in the model';
}

/** How many BatchNormalizations a graph has, and those whose statistics stay, with the reason. */
export function keptStatistics(graph: Graph): { readonly layers: number; readonly kept: readonly Kept[] } {
  const nodes = graph.nodes.filter((node) => node.is('BatchNormalization'));
  const kept = nodes.flatMap((node): Kept[] => {
    const reason = reasonToKeep(graph, node);
    return reason === undefined ? [] : [{ name: node.id, reason }];
  });
  return { layers: nodes.length, kept };
}

/** The first opset with the broadcasting of the training form, and with BatchNormalization's inference form without an attribute. */
export const oldestOpset = 7;

/**
 * Turns a model into one that observes: every BatchNormalization that can be normalizes by the statistics of its batch,
 * which become the outputs in place of the model's own; what they do not depend on is removed, and the batch is open;
 * where that cannot be, it stays, or, if `needsBatch`, UNSUPPORTED is thrown.
 * `isNormalized` false: it gives on what it is given.
 *
 * The operator's own training form is not used: onnxruntime writes its outputs into the memory of inputs 3 and 4.
 */
export function observeStatistics(model: Model, isNormalized = true, needsBatch = false): readonly Observed[] {
  const { graph } = model;
  if (opsetOf(model) < oldestOpset) runPasses(model, [raiseOpset(17)]);
  const images = graph.inputs.find((value) => value.tensor === undefined);
  const obstacle = images === undefined ? undefined : openBatch(model, images);
  if (obstacle !== undefined && needsBatch) throw notOpened(obstacle);
  redeclare(model, images);
  const shapes = inferShapes(model);
  const layers = graph.nodes.filter((node) => node.is('BatchNormalization') && reasonToKeep(graph, node) === undefined);
  const observed = layers.map((node) => observe(model, node, shapes, isNormalized));
  for (const output of graph.outputs.splice(0)) output.isOutput = false;
  for (const { mean, variance, shape } of observed) {
    graph.addOutput(graph.value(mean)!, { dataType: FLOAT, dims: undefined });
    graph.addOutput(graph.value(variance)!, { dataType: FLOAT, dims: undefined });
    graph.addOutput(graph.value(shape)!, { dataType: INT64, dims: undefined });
  }
  runPasses(model, [eliminateDeadNodes]);
  return observed;
}

/** Puts the training form where `node` was: y = (x − mean) / √(variance + ε) · scale + bias, of the batch. */
function observe(model: Model, node: Node, shapes: ShapeTable, isNormalized: boolean): Observed {
  const { graph } = model;
  const [x, scale, bias] = node.inputs as Value[];
  const y = node.outputs[0]!;
  const type = shapes.typeOf(x!);
  const rank = type?.dims.length ?? 4;
  const isFloat32 = (type?.dataType ?? FLOAT) === FLOAT;
  const axes = Array.from({ length: rank }, (_, axis) => axis).filter((axis) => axis !== 1);
  const specs: NodeSpec[] = [];
  const emit = (
    opType: string,
    inputs: readonly Value[],
    attributes: NodeSpec['attributes'] = {},
    output: Value = graph.addValue(graph.uniqueName(`${y.name}.observed`)),
  ): Value => {
    specs.push({ opType, inputs, outputs: [output], attributes, name: graph.uniqueNodeName(output.name) });
    return output;
  };
  const constant = (tensor: (name: string) => Tensor): Value =>
    graph.addInitializer(tensor(graph.uniqueName(`${y.name}.constant`)));
  const areAxesInput = opsetOf(model) >= 18;
  const reduceMean = (value: Value): Value =>
    areAxesInput
      ? emit('ReduceMean', [value, constant((name) => Tensor.ofInts(name, [axes.length], axes))], { keepdims: int(1) })
      : emit('ReduceMean', [value], { axes: ints(axes), keepdims: int(1) });
  const toFloat = (value: Value): Value => (isFloat32 ? value : emit('Cast', [value], { to: int(FLOAT) }));
  const perChannel = constant((name) =>
    Tensor.ofInts(
      name,
      [rank],
      Array.from({ length: rank }, (_, axis) => (axis === 1 ? -1 : 1)),
    ),
  );
  const epsilon = constant((name) => Tensor.ofFloats(name, [], Float32Array.of(node.float('epsilon', 1e-5))));

  const input = toFloat(x!);
  const shape = emit('Shape', [x!]);
  const mean = reduceMean(input);
  const centered = emit('Sub', [input, mean]);
  const variance = reduceMean(emit('Mul', [centered, centered]));
  const observed = { layer: y.name, mean: mean.name, variance: variance.name, shape: shape.name };
  if (!isNormalized) {
    emit('Identity', [x!], {}, y);
    graph.replaceNode(node, () => specs);
    return observed;
  }
  const deviation = emit('Sqrt', [emit('Add', [variance, epsilon])]);
  // Per channel first: each operator on all elements is another tensor of them.
  const factor = emit('Div', [emit('Reshape', [toFloat(scale!), perChannel]), deviation]);
  const scaled = emit('Mul', [centered, factor]);
  const shift = emit('Reshape', [toFloat(bias!), perChannel]);
  if (isFloat32) emit('Add', [scaled, shift], {}, y);
  else emit('Cast', [emit('Add', [scaled, shift])], { to: int(type!.dataType) }, y);
  graph.replaceNode(node, () => specs);
  return observed;
}
