import type { Model } from '../graph/model.js';
import type { Node, NodeSpec } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { Tensor } from '../onnx/tensor.js';
import { replacementOf } from './replacement.js';
import type { Pass, PassContext } from './runner.js';

/**
 * BatchNormalization in inference form becomes what it is there, an affine map of each channel, y = a·x + t with
 * a = scale / √(variance + ε) and t = bias − a·mean, computed in the graph so that scale and bias can be trained: then no
 * batch's own statistics are used, and the running ones never move. Behind a Conv that nothing else reads, a goes into the
 * weight and t becomes the bias. Values keep their names. For ai.onnx 13 and later.
 */
export const freezeNormalization: Pass = {
  name: 'freeze-normalization',
  summary: 'BatchNormalization becomes an affine map by its running statistics',
  run: (model, { shapes, refuse }) => {
    let changes = 0;
    for (const node of model.graph.nodes.filter((candidate) => candidate.is('BatchNormalization'))) {
      const rank = shapes.typeOf(node.inputs[0]!)?.dims.length;
      if (rank === undefined || node.int('training_mode', 0) !== 0) {
        refuse(node, rank === undefined ? 'its rank is not known' : 'it is in training form');
        continue;
      }
      freeze(model, node, rank, shapes);
      changes++;
    }
    return changes;
  },
};

function freeze({ graph }: Model, node: Node, rank: number, shapes: PassContext['shapes']): void {
  const [x, scale, bias, mean, variance] = node.inputs as Value[];
  const { specs, emit } = replacementOf(graph, node, 'frozen');
  const constant = (tensor: Tensor): Value => graph.addInitializer(tensor.renamed(graph.uniqueName(tensor.name)));
  const epsilon = constant(Tensor.ofFloats(`${node.id}.epsilon`, [], Float32Array.of(node.float('epsilon', 1e-5))));
  const a = emit('Div', [scale!, emit('Sqrt', [emit('Add', [variance!, epsilon])])]);
  const perChannel = (value: Value, dims: readonly number[]): Value =>
    emit('Reshape', [value, constant(Tensor.ofInts(`${node.id}.channels`, [dims.length], dims))]);
  const layer = layerBefore(x!);
  if (layer !== undefined) {
    const [input, weight, ownBias] = layer.inputs as [Value, Value, Value | undefined];
    const weightRank = shapes.require(weight).dims.length;
    const product = emit('Mul', [weight, perChannel(a, [-1, ...Array<number>(weightRank - 1).fill(1)])]);
    const shift = ownBias === undefined ? mean! : emit('Sub', [mean!, ownBias]);
    const offset = emit('Sub', [bias!, emit('Mul', [a, shift])]);
    const conv: NodeSpec = {
      opType: 'Conv',
      name: layer.name,
      inputs: [input, product, offset],
      outputs: [node.outputs[0]],
      attributes: Object.fromEntries(layer.attributes),
    };
    graph.replaceNode(node, () => [...specs, conv]);
    graph.removeIfUnused(x!);
    return;
  }
  const channels = [-1, ...Array<number>(Math.max(0, rank - 2)).fill(1)];
  const offset = emit('Sub', [bias!, emit('Mul', [a, mean!])]);
  const scaled = emit('Mul', [x!, perChannel(a, channels)]);
  emit('Add', [scaled, perChannel(offset, channels)], {}, node.outputs[0]);
  graph.replaceNode(node, () => specs);
}

/** The convolution whose output only this normalization reads. */
function layerBefore(x: Value): Node | undefined {
  const layer = x.producer;
  return layer?.is('Conv') === true && x.uses.length === 1 && !x.isOutput ? layer : undefined;
}
