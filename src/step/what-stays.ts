import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import type { Tensor } from '../onnx/tensor.js';
import { hasConstantName } from '../ops/support/constant-name.js';
import { sizeOf } from '../ops/support/layout.js';

/** Where the initializers of the graph come from. */
export interface Stored {
  /** Initializers of the file, by name. */
  readonly initializers: ReadonlySet<string>;
  /** Constant nodes of the file, by the name of their output. */
  readonly constants: ReadonlySet<string>;
  /** What BatchNormalization of the file takes as a variance. */
  readonly variances: ReadonlySet<string>;
}

/** Why a stored tensor is not trained. */
export interface Stay {
  readonly reason: string;
  /** Whether a user may take it for a weight, and is told. */
  readonly looksLikeWeight: boolean;
}

/** A stored tensor where it, or what is made of it, meets what depends on the images. */
export interface Meeting {
  readonly source: Value;
  readonly node: Node;
  /** Which input of the node it reaches. */
  readonly index: number;
  /** Whether it is read as it is stored, or in another layout or type. */
  readonly isPlain: boolean;
  /** The first node on the way that computes with it, where it is not read so. */
  readonly first: Node | undefined;
  /** Whether the input holds what a layer has learned. */
  readonly isWeight: boolean;
  readonly stored: Stored | undefined;
  /** Whether the file has initializers for its weights. */
  readonly hasWeights: boolean;
}

/**
 * What exporters and authors write into a model that is no weight. Of tensors behind the first layer, undefined for those
 * that are trained:
 * - numbers: one element that is a Constant node or has the name of an exporter's constant (√2 of a GELU, 1/√d of an attention), but for
 *   the weight of a layer that is read as it is stored. An initializer of one element with a name of its own is a scale
 *   that was learned;
 * - Constant nodes at other places than the weights of layers, in files that have initializers for their weights, and
 *   exporter's constants of equal elements that are put beside what was computed (Concat, Where, ScatterND);
 * - masks: elements that are not finite, or nothing but 0 and one number of −50 and below (attention), or factors 0 and 1;
 * - unit weights: ones and zeros of an InstanceNormalization behind a Reshape (a GroupNorm in parts), or of a normalization
 *   where a Constant node or an exporter's constant holds them, or of a normalization of weights (weight standardization);
 * - filters: the kernels of a depthwise convolution that are the same in all channels and sum to 1 or, not all zero, to 0 (blur, gradients
 *   of images);
 * - variances of a BatchNormalization that has no running statistics, as its mean is computed;
 * - tables of sines and cosines (fixed position embeddings, rotary ones).
 */
export function reasonToStay(meeting: Meeting): Stay | undefined {
  for (const rule of rules) {
    const stay = rule(meeting, meeting.source.tensor!);
    if (stay !== undefined) return stay;
  }
  return undefined;
}

type Rule = (meeting: Meeting, tensor: Tensor) => Stay | undefined;

const silent = (reason: string): Stay => ({ reason, looksLikeWeight: false });
const told = (reason: string): Stay => ({ reason, looksLikeWeight: true });

const isConstantNode = ({ source, stored }: Meeting): boolean => stored?.constants.has(source.name) === true;

const isOfExporter = (meeting: Meeting): boolean => isConstantNode(meeting) || hasConstantName(meeting.source);

const number: Rule = (meeting, { size }) =>
  size > 1 || (meeting.isWeight && meeting.isPlain) || !isOfExporter(meeting)
    ? undefined
    : silent('a number of the code');

const constantNode: Rule = (meeting, { size }) =>
  size < 2 || (meeting.isWeight && meeting.isPlain) || !meeting.hasWeights || !isConstantNode(meeting)
    ? undefined
    : silent('a Constant node, where weights are initializers');

/** Operators that put tensors side by side or in place of each other. */
const placing = new Set(['Concat', 'Where', 'ScatterND', 'ScatterElements', 'Max', 'Min']);

const background: Rule = (meeting, tensor) => {
  if (!placing.has(meeting.node.opType) || !isOfExporter(meeting)) return undefined;
  const elements = tensor.toFloat32();
  return elements.every((element) => element === elements[0])
    ? told('a constant of the exporter: all elements are equal')
    : undefined;
};

/** From here on an element of an attention's mask counts as −∞. */
const masked = -50;

const mask: Rule = ({ node, isWeight }, tensor) => {
  if (tensor.size < 2 || isWeight) return undefined;
  const elements = tensor.toFloat32();
  if (elements.some((element) => !Number.isFinite(element))) return silent('a mask: elements are not finite');
  const lowest = elements.reduce((least, element) => Math.min(least, element), Infinity);
  if (lowest <= masked && elements.every((element) => element === 0 || element === lowest)) {
    return silent(`a mask: all elements are 0 or ${lowest}`);
  }
  const isSwitch = node.is('Mul') && elements.every((element) => element === 0 || element === 1);
  return isSwitch && elements.includes(0) && elements.includes(1) ? told('a mask: all elements are 0 or 1') : undefined;
};

const normalizations = new Set([
  'InstanceNormalization',
  'GroupNormalization',
  'LayerNormalization',
  'RMSNormalization',
  'BatchNormalization',
]);

/** One that a gradient moves may become negative. */
const variance: Rule = ({ source, stored }) =>
  stored?.variances.has(source.name) === true
    ? told('a variance without a stored mean, which no rule updates')
    : undefined;

const unitWeight: Rule = (meeting, tensor) => {
  const { node, index, isPlain } = meeting;
  if (!isPlain || !normalizations.has(node.opType)) return undefined;
  const unit = index === 1 ? 1 : 0;
  const isOfGroups = node.is('InstanceNormalization') && node.inputs[0]?.producer?.is('Reshape') === true;
  if (!isOfGroups && !isOfExporter(meeting)) return undefined;
  const reason = isOfGroups
    ? 'a unit weight of a GroupNorm in parts'
    : 'a unit weight of a normalization without weights';
  return tensor.toFloat32().every((element) => element === unit) ? silent(reason) : undefined;
};

/** What changes nothing as an operand. */
const units: Readonly<Record<string, number>> = { Add: 0, Sub: 0, Mul: 1, Div: 1 };

const inWeight: Rule = (meeting, tensor) => {
  const { isWeight, first } = meeting;
  if (!isWeight || first === undefined || tensor.size < 2 || !isOfExporter(meeting)) return undefined;
  const unit = units[first.opType];
  return unit !== undefined && tensor.toFloat32().every((element) => element === unit)
    ? silent('a unit weight of what a weight is computed by')
    : undefined;
};

const filter: Rule = ({ node, index }, tensor) => {
  if (index !== 1 || !(node.is('Conv') || node.is('ConvTranspose')) || node.int('group', 1) < 2) return undefined;
  const { dims } = tensor;
  const area = dims.slice(2).reduce((product, dim) => product * dim, 1);
  if (dims.length < 3 || dims[1] !== 1 || area < 2 || (dims[0] === 1 && node.int('group', 1) === 1)) return undefined;
  const elements = tensor.toFloat32();
  const kernel = elements.subarray(0, area);
  const sum = kernel.reduce((total, element) => total + element, 0);
  const size = kernel.reduce((total, element) => total + Math.abs(element), 0);
  const isFilter = size > 0 && (Math.abs(sum - 1) < 1e-3 || Math.abs(sum) < 1e-3 * size);
  return isFilter && elements.every((element, i) => element === kernel[i % area])
    ? told('a filter: the same kernel in all channels')
    : undefined;
};

const sinusoid: Rule = ({ isWeight }, tensor) => {
  const { dims } = tensor;
  // Of tokens [N, L, C], of maps [N, C, H, W].
  const axes = dims.length === 4 ? [3, 1] : [dims.length - 1];
  if (isWeight || !axes.some((axis) => mayBeTable(dims, axis))) return undefined;
  const elements = tensor.toFloat32();
  return axes.some((axis) => mayBeTable(dims, axis) && isTable(elements, dims, axis))
    ? told('a table of sines and cosines')
    : undefined;
};

/** Fewer columns or places may have such sums by chance. */
function mayBeTable(dims: readonly number[], axis: number): boolean {
  const columns = dims[axis] ?? 0;
  return columns >= 8 && columns % 2 === 0 && sizeOf(dims) >= 4 * columns;
}

/** Whether columns along an axis come in pairs whose squares sum to 1 at every place: halves, neighbours or quarters. Rows of zeros may be there. */
function isTable(elements: Float32Array, dims: readonly number[], axis: number): boolean {
  const columns = dims[axis]!;
  const inner = sizeOf(dims.slice(axis + 1));
  const halves = Array.from({ length: columns / 2 }, (_, i) => [i, i + columns / 2] as const);
  const neighbours = halves.map(([i]) => [2 * i, 2 * i + 1] as const);
  const quarters = halves.map(([i]) => {
    const first = i < columns / 4 ? i : i + columns / 4;
    return [first, first + columns / 4] as const;
  });
  return [halves, neighbours, ...(columns % 4 === 0 ? [quarters] : [])].some((pairs) => {
    let hasNumbers = false;
    for (let place = 0; place < elements.length / columns; place++) {
      const start = Math.floor(place / inner) * columns * inner + (place % inner);
      const lengths = pairs.map(([a, b]) => elements[start + a * inner]! ** 2 + elements[start + b * inner]! ** 2);
      if (lengths.every((length) => length === 0)) continue;
      if (lengths.some((length) => Math.abs(length - 1) > 1e-4)) return false;
      hasNumbers = true;
    }
    return hasNumbers;
  });
}

const rules: readonly Rule[] = [
  number,
  constantNode,
  background,
  variance,
  mask,
  unitWeight,
  inWeight,
  filter,
  sinusoid,
];
