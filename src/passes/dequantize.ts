import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { INT16, INT8, isFloatType, UINT16, UINT8 } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import { staticNumbers, staticTensor } from '../ops/support/static-numbers.js';
import { eliminateDeadNodes } from './eliminate-dead-nodes.js';
import { runPasses } from './runner.js';

const multiplying = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul']);
/** What is never below 0, or keeps that. */
const positive = new Set(['Relu', 'Sigmoid', 'HardSigmoid', 'Softmax', 'Abs', 'Exp', 'Softplus']);
const keeping = new Set([
  'MaxPool',
  'AveragePool',
  'GlobalAveragePool',
  'GlobalMaxPool',
  'Flatten',
  'Reshape',
  'Concat',
  'Identity',
]);

/**
 * Makes a float model of one that is quantized in QDQ form (QuantizeLinear and DequantizeLinear around float operators, as
 * onnxruntime.quantization writes it), in place, where most of its layers are: weights become what they were quantized to, activations
 * are no longer rounded. Where a quantizer left a Relu to the zero point (its range begins at 0), there is one again; where values
 * would only have been cut off at the far end of a range, they are not. Gives what was done, one line for the report; nothing where the
 * model is not of that kind, which is then left as it is.
 */
export function dequantize(model: Model): readonly string[] {
  const { graph } = model;
  const layers = graph.nodes.filter((node) => multiplying.has(node.opType) && node.inputs[1] !== undefined);
  const quantized = layers.filter((node) => node.inputs[1]!.producer?.is('DequantizeLinear') === true);
  if (quantized.length <= layers.length / 2) return [];
  for (const node of [...graph.sorted()]) {
    if (!node.is('DequantizeLinear')) continue;
    const weight = weightOf(node);
    if (weight !== undefined) becomeWeight(model, node, weight);
    else becomeFloat(model, node);
  }
  runPasses(model, [eliminateDeadNodes]);
  return [
    `the model is quantized (${quantized.length} of its ${layers.length} layers): converted with its dequantized weights, to float; quantize the result anew`,
  ];
}

/** What a constant stands for; undefined where the node reads no constant, or one of a form that is not known. */
function weightOf(node: Node): Tensor | undefined {
  const [value, scales, zeros] = node.inputs;
  const scale = scales === undefined ? undefined : staticNumbers(scales);
  if (value === undefined || scale === undefined || node.int('block_size', 0) !== 0) return undefined;
  const { producer } = value;
  // Quantized as the model runs: what it was before is at hand.
  const before = producer?.is('QuantizeLinear') === true ? producer.inputs[0] : undefined;
  const stored = before === undefined ? undefined : staticTensor(before)?.tensor;
  if (stored !== undefined && isFloatType(stored.dataType)) return stored;
  const tensor = staticTensor(value)?.tensor;
  const numbers = tensor === undefined ? undefined : staticNumbers(value);
  if (tensor === undefined || numbers === undefined) return undefined;
  const zero = zeros === undefined ? undefined : staticNumbers(zeros);
  if (zeros !== undefined && zero === undefined) return undefined;
  const axis = node.int('axis', 1);
  const along = scale.length === 1 ? tensor.dims.length : axis < 0 ? axis + tensor.dims.length : axis;
  const inner = tensor.dims.slice(along + 1).reduce((product, dim) => product * dim, 1);
  const data = Float32Array.from(numbers, (number, at) => {
    const channel = scale.length === 1 ? 0 : Math.floor(at / inner) % scale.length;
    return (number - (zero?.[channel] ?? zero?.[0] ?? 0)) * scale[channel]!;
  });
  return Tensor.ofFloats('', tensor.dims, data, staticTensor(scales!)!.tensor.dataType);
}

function becomeWeight({ graph, irVersion }: Model, node: Node, weight: Tensor): void {
  const output = node.outputs[0]!;
  const name = graph.uniqueName(node.inputs[0]!.name.replace(/_quantized$/, ''));
  const value = graph.addInitializer(weight.renamed(name));
  if (irVersion < 4) graph.addInput(name, { dataType: weight.dataType, dims: weight.dims });
  graph.replaceUses(output, value);
  if (output.isOutput)
    graph.replaceNode(node, () => [{ opType: 'Identity', name: node.name, inputs: [value], outputs: [output] }]);
}

/** Without the rounding between QuantizeLinear and DequantizeLinear. */
function becomeFloat({ graph }: Model, node: Node): void {
  const { producer } = node.inputs[0]!;
  const input = producer?.is('QuantizeLinear') === true ? producer.inputs[0] : undefined;
  if (input === undefined) return;
  const output = node.outputs[0]!;
  const isCut = beginsAtZero(producer!) && !isPositive(input);
  if (!isCut && !output.isOutput && output.uses.every(({ index }) => index >= 0)) graph.replaceUses(output, input);
  else {
    const opType = isCut ? 'Relu' : 'Identity';
    graph.replaceNode(node, () => [{ opType, name: node.name, inputs: [input], outputs: [output] }]);
  }
}

/** Whether nothing below 0 can be said: the zero point, 0 where there is none, is the smallest number of the type. */
function beginsAtZero(node: Node): boolean {
  const zero = node.inputs[2];
  const type = zero === undefined ? node.int('output_dtype', 0) || UINT8 : staticTensor(zero)?.tensor.dataType;
  const numbers = zero === undefined ? [0] : staticNumbers(zero);
  const least = smallest[type ?? -1];
  return least !== undefined && numbers !== undefined && numbers.every((number) => number === least);
}

/** Of the types that activations are quantized to. */
const smallest: Readonly<Record<number, number>> = { [UINT8]: 0, [INT8]: -128, [UINT16]: 0, [INT16]: -32_768 };

function isPositive(value: Value): boolean {
  const { producer } = value;
  if (producer === undefined || producer.domain !== '') return false;
  if (producer.is('Clip')) return (staticNumbers(producer.inputs[1])?.[0] ?? producer.float('min', -1)) >= 0;
  if (keeping.has(producer.opType)) {
    return (producer.is('Concat') ? producer.inputs : producer.inputs.slice(0, 1)).every(
      (input) => input !== undefined && isPositive(input),
    );
  }
  return positive.has(producer.opType);
}
