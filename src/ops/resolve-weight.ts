import { LowrankError } from '../errors.js';
import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { BFLOAT16, DOUBLE, FLOAT, FLOAT16, isFloatType } from '../onnx/data-type.js';
import { bfloat16ToNumber, float16ToNumber, numberToBfloat16, numberToFloat16 } from '../float16.js';
import type { Tensor } from '../onnx/tensor.js';
import { atNode } from './support/fail.js';
import { flattened, permutation, reshaped, squeezed, transposed, unsqueezed } from './support/layout.js';
import { type Floats, permute, zerosLike } from './support/permute.js';
import { staticAxes, staticNumbers } from './support/static-numbers.js';

/** A value that is one stored tensor in another layout or float type. */
export interface ResolvedWeight {
  /** As it is stored: an initializer, or the `value` attribute of a Constant node. */
  readonly tensor: Tensor;
  /** The value that holds it: the initializer, or the output of the Constant node. Shared weights have the same. */
  readonly source: Value;
  /** Nodes between `source` and the value, the one next to `source` first; the Constant node is not one of them. */
  readonly chain: readonly Node[];
  /** Shape of the value asked for. */
  readonly dims: readonly number[];
  /** Element type of the value asked for: a float type. */
  readonly dataType: number;
  /**
   * The elements in the layout `dims`, as float32 (float64 rounds). Read and converted anew at each call, into
   * `memory` of as many numbers where the layout is the stored one; that is what is returned then.
   */
  data(memory?: Float32Array): Float32Array;
  /** The same with nothing rounded but what casts round. */
  dataInFloat64(): Float64Array;
}

/** What one node of the chain does: its shape, and its data where they are not merely renamed. */
interface Step {
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly apply?: <Data extends Floats>(data: Data, dims: readonly number[]) => Data;
}

/**
 * Walks from a value back to one stored float tensor through Identity, Transpose, Reshape, Flatten, Squeeze, Unsqueeze
 * and Cast; undefined where it is anything else (computed, quantized, an input of the model). An initializer that a caller
 * may override (IR 3 lists all of them as inputs) counts as stored.
 * Throws SHAPE where the chain contradicts itself, INTERNAL where `value` is not of `graph`.
 */
export function resolveWeight(graph: Graph, value: Value): ResolvedWeight | undefined {
  if (graph.value(value.name) !== value) throw new LowrankError('INTERNAL', `'${value.name}' is not of this graph`);
  const chain: Node[] = [];
  let source = value;
  let tensor = storedTensor(source);
  while (tensor === undefined) {
    const node = source.producer;
    const input = node?.inputs[0];
    if (node === undefined || input === undefined || !isLayoutOperator(node)) return undefined;
    chain.unshift(node);
    source = input;
    tensor = storedTensor(source);
  }
  const steps: Step[] = [];
  let { dims, dataType } = tensor;
  for (const node of chain) {
    const step = atNode(node, () => rules.get(node.opType)!(node, dims, dataType));
    if (step === undefined) return undefined;
    steps.push(step);
    ({ dims, dataType } = step);
  }
  if (!isFloatType(dataType) || !isFloatType(tensor.dataType)) return undefined;
  const stored = tensor;
  const walk = <Data extends Floats>(elements: Data): Data => {
    let data = elements;
    let before = stored.dims;
    for (const step of steps) {
      data = step.apply?.(data, before) ?? data;
      before = step.dims;
    }
    return data;
  };
  return {
    tensor,
    source,
    chain,
    dims,
    dataType,
    data: (memory) => walk(stored.toFloat32(memory)),
    dataInFloat64: () => walk(stored.toNumbers()),
  };
}

/** Whether the operator may only keep the elements of a weight and change their layout or float type. */
export function isLayoutOperator({ domain, opType }: Node): boolean {
  return domain === '' && rules.has(opType);
}

function storedTensor(value: Value): Tensor | undefined {
  if (value.tensor !== undefined) return value.tensor;
  return value.producer?.is('Constant') === true ? value.producer.tensor('value') : undefined;
}

type Rule = (node: Node, dims: readonly number[], dataType: number) => Step | undefined;

/** Operators that keep the elements of a weight and change their layout or rounding only. */
const rules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['Identity', (_, dims, dataType) => ({ dims, dataType })],
  [
    'Transpose',
    (node, dims, dataType) => {
      const perm = permutation(node.ints('perm'), dims.length);
      return { dims: transposed(dims, perm), dataType, apply: (data, before) => permute(data, before, perm) };
    },
  ],
  [
    'Reshape',
    (node, dims, dataType) => {
      const target = node.ints('shape') ?? staticNumbers(node.inputs[1]);
      if (target === undefined) return undefined;
      return { dims: reshaped(dims, target, node.int('allowzero', 0) === 1), dataType };
    },
  ],
  ['Flatten', (node, dims, dataType) => ({ dims: flattened(dims, node.int('axis', 1)), dataType })],
  [
    'Squeeze',
    (node, dims, dataType) => {
      const axes = staticAxes(node);
      if (axes === undefined && node.inputs[1] !== undefined) return undefined;
      return { dims: squeezed(dims, axes), dataType };
    },
  ],
  [
    'Unsqueeze',
    (node, dims, dataType) => {
      const axes = staticAxes(node);
      return axes === undefined ? undefined : { dims: unsqueezed(dims, axes), dataType };
    },
  ],
  ['Cast', castRule],
]);

/** Casts to float types are roundings: of float64 elements each of them, of float32 elements those to 16 bits. Others make no weights. */
function castRule(node: Node, dims: readonly number[]): Step | undefined {
  const dataType = node.int('to', 0);
  const round = roundings.get(dataType);
  if (dataType === DOUBLE) return { dims, dataType };
  return round === undefined ? undefined : { dims, dataType, apply: (data) => rounded(data, round) };
}

const roundings: ReadonlyMap<number, (value: number) => number> = new Map([
  [FLOAT, Math.fround],
  [FLOAT16, (value: number) => float16ToNumber(numberToFloat16(value))],
  [BFLOAT16, (value: number) => bfloat16ToNumber(numberToBfloat16(value))],
]);

function rounded<Data extends Floats>(data: Data, round: (value: number) => number): Data {
  const result = zerosLike(data, data.length);
  for (let i = 0; i < data.length; i++) result[i] = round(data[i]!);
  return result;
}
