import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { Tensor } from '../onnx/tensor.js';
import { splitLast } from '../passes/replacement.js';
import type { FactorizableLayer } from './layers.js';

/** Products x·W₁, x·W₂ … of one input that were made one, and what it takes to make them again. */
export interface JoinedProducts {
  /** Of the node that stands for all of them. */
  readonly name: string;
  readonly product: Node;
  readonly split: Node;
  readonly input: Value;
  readonly parts: readonly { readonly name: string; readonly weight: Tensor; readonly declared: Value['declared'] }[];
}

/** What the layer is called that products are joined to. */
export function joinedName(layers: readonly { readonly label: string }[]): string {
  return layers.map(({ label }) => label).join(' + ');
}

/**
 * MatMuls of one input x become one: x·[W₁ W₂ …], then Split (ai.onnx, sizes as an attribute before opset 13) along the last axis
 * into the values that they gave. Weights have the shapes [in, out₁], [in, out₂] … and one element type, each stored and read by its node
 * alone. What the model computes stays, and so do the names of the values.
 */
export function joinProducts(model: Model, layers: readonly FactorizableLayer[]): JoinedProducts {
  const { graph } = model;
  const nodes = layers.map(({ node }) => node);
  const input = nodes[0]!.inputs[0]!;
  const labels = layers.map(({ label }) => label);
  const name = graph.uniqueNodeName(joinedName(layers));
  const weights = nodes.map((node) => node.inputs[1]!);
  const parts = weights.map((weight, at) => ({
    name: nodes[at]!.name,
    weight: weight.tensor!,
    declared: weight.isInput ? weight.declared : undefined,
  }));
  const weight = addWeight(model, `${labels.join('+')}.weight`, layers);
  const whole = graph.addValue(graph.uniqueName(`${name}.output`));
  const sizes = layers.map(({ geometry }) => geometry.out);
  const [product, split] = graph.replaceNodes(nodes, () => [
    { opType: 'MatMul', name, inputs: [input, weight], outputs: [whole] },
    splitLast(
      model,
      { node: `${name}.split`, sizes: `${name}.sizes` },
      whole,
      sizes,
      nodes.map((node) => node.outputs[0]),
    ),
  ]) as [Node, Node];
  for (const old of weights) graph.removeIfUnused(old);
  return { name, product, split, input, parts };
}

/** Undoes `joinProducts`: nodes and weights have the names that they had. */
export function separateProducts(model: Model, { product, split, input, parts }: JoinedProducts): void {
  const { graph } = model;
  const outputs = [...split.outputs];
  const [weight, sizes] = [product.inputs[1]!, split.inputs[1]];
  graph.replaceNodes([product, split], () =>
    parts.map(({ name, weight: tensor, declared }, at) => {
      const own = graph.addInitializer(tensor);
      if (declared !== undefined) graph.addInput(own.name, declared);
      return { opType: 'MatMul', name, inputs: [input, own], outputs: [outputs[at]] };
    }),
  );
  graph.removeIfUnused(weight);
  if (sizes !== undefined) graph.removeIfUnused(sizes);
}

function addWeight(model: Model, name: string, layers: readonly FactorizableLayer[]): Value {
  const { graph } = model;
  const { dataType } = layers[0]!.weight;
  const dims = [layers[0]!.geometry.in, layers.reduce((sum, { geometry }) => sum + geometry.out, 0)];
  const [rows, columns] = dims as [number, number];
  const data = new Float32Array(rows * columns);
  let start = 0;
  for (const { weight, geometry } of layers) {
    const own = weight.data();
    for (let row = 0; row < rows; row++) {
      data.set(own.subarray(row * geometry.out, (row + 1) * geometry.out), row * columns + start);
    }
    start += geometry.out;
  }
  const free = graph.uniqueName(name);
  const value = graph.addInitializer(Tensor.ofFloats(free, dims, data, dataType));
  if (model.irVersion < 4) graph.addInput(free, { dataType, dims });
  return value;
}
