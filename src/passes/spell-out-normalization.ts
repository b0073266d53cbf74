import { int } from '../graph/attributes.js';
import { type Model, opsetOf } from '../graph/model.js';
import type { Node, NodeSpec } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { Tensor } from '../onnx/tensor.js';
import { hasRunningStatistics, isTrainingForm, valuesOfImages } from './inference-form.js';
import { replacementOf, spellOutEach } from './replacement.js';
import type { Pass } from './runner.js';

/**
 * BatchNormalization that is no layer with running statistics becomes the arithmetic that it stands for, which is
 * differentiated like any other: y = (x − mean) / √(variance + ε) · scale + bias. In training form the mean and the biased
 * variance are those of x over all axes but 1. What stays is in inference form, normalizes activations, and its mean and
 * variance are stored: training updates them. For ai.onnx 13 and later.
 */
export const spellOutNormalization: Pass = {
  name: 'spell-out-normalization',
  summary: 'BatchNormalization without running statistics becomes arithmetic',
  run: (model, { shapes, refuse }) => {
    const { graph } = model;
    const seen = valuesOfImages(graph);
    return spellOutEach(graph, refuse, (node) => {
      if (!node.is('BatchNormalization')) return undefined;
      if (!isTrainingForm(node) && hasRunningStatistics(graph, node, seen)) return undefined;
      if (node.outputs.slice(1).some((value) => value !== undefined && value.uses.length > 0)) {
        return 'its statistics are read';
      }
      const rank = shapes.typeOf(node.inputs[0]!)?.dims.length;
      return rank === undefined ? 'its rank is not known' : () => arithmetic(model, node, rank);
    });
  },
};

function arithmetic(model: Model, node: Node, rank: number): readonly NodeSpec[] {
  const { graph } = model;
  const { specs, emit } = replacementOf(graph, node, 'spelled');
  const [x, scale, bias, runningMean, runningVariance] = node.inputs as Value[];
  const integers = (name: string, values: readonly number[]): Value =>
    graph.addInitializer(Tensor.ofInts(graph.uniqueName(`${node.id}.${name}`), [values.length], values));
  const shape = integers('channels', [-1, ...Array<number>(Math.max(rank - 2, 0)).fill(1)]);
  const perChannel = (value: Value): Value => emit('Reshape', [value, shape]);
  const axes = Array.from({ length: rank }, (_, axis) => axis).filter((axis) => axis !== 1);
  const mean = (of: Value): Value =>
    opsetOf(model) >= 18
      ? emit('ReduceMean', [of, integers('axes', axes)], { keepdims: int(1) })
      : emit('ReduceMean', [of], { axes: { type: 'ints', value: axes }, keepdims: int(1) });
  const isTrained = isTrainingForm(node);
  const centered = emit('Sub', [x!, isTrained ? mean(x!) : perChannel(runningMean!)]);
  const variance = isTrained ? mean(emit('Mul', [centered, centered])) : perChannel(runningVariance!);
  const epsilon = Tensor.ofFloats(
    graph.uniqueName(`${node.id}.epsilon`),
    [],
    Float32Array.of(node.float('epsilon', 1e-5)),
  );
  const deviation = emit('Sqrt', [emit('Add', [variance, graph.addInitializer(epsilon)])]);
  const scaled = emit('Mul', [emit('Div', [centered, deviation]), perChannel(scale!)]);
  emit('Add', [scaled, perChannel(bias!)], {}, node.outputs[0]);
  return specs;
}
