import { float, int, ints } from '../../graph/attributes.js';
import type { Graph } from '../../graph/graph.js';
import { type Model, opsetOf } from '../../graph/model.js';
import type { Node, NodeSpec } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import { Tensor } from '../../onnx/tensor.js';
import { replacementOf } from '../../passes/replacement.js';
import type { Pass } from '../../passes/runner.js';

/**
 * BatchNormalization in training form becomes means and its inference form: mean = Σx / n, variance = Σ(x − mean)² / n,
 * y = BatchNormalization(x; mean, variance). onnxruntime's CUDA provider refuses the training form since ai.onnx 14
 * ("Training mode does not support BN opset 14 (or higher) yet").
 * Of nodes with momentum 0, as `batchNormTraining` makes them: their outputs are the statistics of the batch alone.
 */
export const normalizeByMeans: Pass = {
  name: 'normalize-by-means',
  summary: 'BatchNormalization in training form becomes means and its inference form',
  run: (model, { shapes, refuse }) => {
    const nodes = model.graph.nodes.filter(
      (node) => node.is('BatchNormalization') && node.int('training_mode', 0) !== 0,
    );
    let changes = 0;
    for (const node of nodes) {
      const rank = shapes.typeOf(node.inputs[0]!)?.dims.length;
      if (rank === undefined || node.float('momentum', 0.9) !== 0) refuse(node, 'it mixes statistics into older ones');
      else {
        model.graph.replaceNode(node, () => byMeans(model, node, rank));
        changes++;
      }
    }
    return changes;
  },
};

function byMeans(model: Model, node: Node, rank: number): readonly NodeSpec[] {
  const { graph } = model;
  const [x, scale, bias] = node.inputs as Value[];
  const { specs, emit } = replacementOf(graph, node, 'means');
  const axes = Array.from({ length: rank }, (_, axis) => axis).filter((axis) => axis !== 1);
  const mean = (of: Value, output: Value | undefined): Value =>
    opsetOf(model) >= 18
      ? emit('ReduceMean', [of, vector(graph, 'axes', axes)], { keepdims: int(0) }, output)
      : emit('ReduceMean', [of], { axes: ints(axes), keepdims: int(0) }, output);
  const [y, seenMean, seenVariance] = node.outputs;
  const average = mean(x!, seenMean);
  // In the shape that the gradient reads it in: onnxruntime then computes x − mean once.
  const perChannel = emit('Reshape', [average, vector(graph, 'channels', [-1, ...Array<number>(rank - 2).fill(1)])]);
  const centered = emit('Sub', [x!, perChannel]);
  const variance = mean(emit('Mul', [centered, centered]), seenVariance);
  const epsilon = { epsilon: float(node.float('epsilon', 1e-5)) };
  emit('BatchNormalization', [x!, scale!, bias!, average, variance], epsilon, y);
  return specs;
}

/** An int64 constant, shared by all nodes. */
function vector(graph: Graph, kind: string, values: readonly number[]): Value {
  const name = `normalize-by-means.${kind}.${values.length}`;
  const known = graph.value(name);
  if (known?.tensor !== undefined) return known;
  return graph.addInitializer(Tensor.ofInts(graph.uniqueName(name), [values.length], values));
}
