import type { Graph } from '../graph/graph.js';
import { type Model, opsetOf } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { isFloatType } from '../onnx/data-type.js';
import { inferShapes, type ShapeTable } from '../ops/infer.js';
import { staticAxes, staticNumbers } from '../ops/support/static-numbers.js';

/**
 * What a classifier's first output is: numbers of any size (`logits`), probabilities of classes that exclude each other
 * (`softmax`), their logarithms (`log-softmax`), or probabilities of classes one by one (`sigmoid`).
 */
export type EndKind = 'logits' | 'softmax' | 'log-softmax' | 'sigmoid';

export interface ClassifierEnd {
  readonly kind: EndKind;
  /** What the end is computed from, one number per class; the first output where the kind is `logits`. */
  readonly logits: Value;
  /** What computes the end's result; absent where the kind is `logits`. */
  readonly node?: Node;
  /** What a reader should know of it. */
  readonly warnings: readonly string[];
}

export interface EndFacts {
  /** Of ai.onnx. */
  readonly opset: number;
  /** Dims of a value; undefined where they are not known. */
  dims(value: Value): readonly number[] | undefined;
}

/**
 * Finds how the first output ends, for everything that must know it: training, evaluation, new heads. An end is a Softmax,
 * LogSoftmax or Sigmoid, also one spelled out (Exp / ReduceSum, with the largest logit subtracted or not; 1 / (1 + Exp(−z))), the
 * Log of a Softmax, the Exp of a LogSoftmax, or a quantized form, behind any chain of operators that keep the numbers:
 * Identity, Flatten, Reshape, Squeeze, Unsqueeze, Transpose, Dropout, Clip, Cast between float types, quantization. One end is taken, the last: the logits of
 * softmax(softmax(z)) are softmax(z). A Softmax over another axis than that of the classes is no end.
 */
function classifierEnd(graph: Graph, facts: EndFacts): ClassifierEnd {
  const [output] = graph.outputs;
  const found = endBehind(output!, facts);
  if (found === undefined) return { kind: 'logits', logits: output!, warnings: lookFurther(output!, facts) };
  return found;
}

/** The same for a whole model, of any opset. `shapes`: default, for the sizes that the model says. */
export function endOfModel(model: Model, shapes: ShapeTable = inferShapes(model)): ClassifierEnd {
  return classifierEnd(model.graph, { opset: opsetOf(model), dims: (value) => shapes.typeOf(value)?.dims });
}

/**
 * Whether the first output can be of classes: [N, classes], maybe with axes of 1, and not of unit length, as embeddings are that
 * a model normalizes itself.
 */
export function hasClasses(model: Model, shapes: ShapeTable): boolean {
  const [output] = model.graph.outputs;
  const type = shapes.typeOf(endOfModel(model, shapes).logits);
  if (output === undefined || type === undefined || !isFloatType(type.dataType)) return false;
  return type.dims.slice(1).filter((dim) => dim > 1).length === 1 && !isOfUnitLength(output);
}

/** Whether the model divides by its output's own Euclidean norm at the end. */
function isOfUnitLength(output: Value): boolean {
  const { value } = pass(output);
  const node = value.producer;
  if (node === undefined) return false;
  if (node.is('LpNormalization')) return node.int('p', 2) === 2;
  const [x, norm] = node.is('Div') ? node.inputs : [];
  return x !== undefined && isNormOf(behindFloors(norm), x);
}

/** Operators that keep a norm from being 0, which may come with views. */
const floors = new Set(['Clip', 'Max', 'Add']);

function behindFloors(value: Value | undefined): Node | undefined {
  let node = behindViews(value);
  while (node?.domain === '' && floors.has(node.opType)) node = behindViews(node.inputs[0]);
  return node;
}

/** ‖x‖, or √Σx², spelled out or not. */
function isNormOf(node: Node | undefined, x: Value): boolean {
  if (node?.is('ReduceL2') === true) return node.inputs[0] === x;
  const isRoot = node?.is('Sqrt') === true || (node?.is('Pow') === true && staticNumbers(node.inputs[1])?.[0] === 0.5);
  const sum = isRoot ? behindFloors(node?.inputs[0]) : undefined;
  if (sum?.is('ReduceSumSquare') === true) return sum.inputs[0] === x;
  const square = sum?.is('ReduceSum') === true ? sum.inputs[0]?.producer : undefined;
  return square?.is('Mul') === true || square?.is('Pow') === true ? square.inputs[0] === x : false;
}

interface Found {
  readonly kind: Exclude<EndKind, 'logits'>;
  readonly logits: Value;
  readonly node: Node;
  readonly warnings: readonly string[];
}

function endBehind(output: Value, facts: EndFacts): Found | undefined {
  const { value, clips } = pass(output);
  const node = value.producer;
  if (node === undefined) return undefined;
  if (node.is('Log') || node.is('Exp')) {
    const inner = endBehind(node.inputs[0]!, facts);
    if (node.is('Log') && inner?.kind === 'softmax') return told({ ...inner, node, kind: 'log-softmax' }, clips);
    return node.is('Exp') && inner?.kind === 'log-softmax'
      ? told({ ...inner, node, kind: 'softmax' }, clips)
      : undefined;
  }
  const end = softmax(node, facts) ?? spelledSoftmax(node, facts) ?? spelledLogSoftmax(node, facts) ?? sigmoid(node);
  return end === undefined ? undefined : told({ ...end, node, warnings: [] }, clips);
}

/** Operators whose output holds the numbers of their first input. */
const keeping = new Set([
  'Identity',
  'Flatten',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Transpose',
  'Dropout',
  'Clip',
  'QuantizeLinear',
  'DequantizeLinear',
]);

function keeps(node: Node): boolean {
  if (node.is('Cast')) return isFloatType(node.int('to', 0));
  return (node.domain === '' || node.domain === 'com.microsoft') && keeping.has(node.opType);
}

/** Back through what keeps the numbers. */
function pass(output: Value): { readonly value: Value; readonly clips: readonly Node[] } {
  const clips: Node[] = [];
  let value = output;
  while (value.producer !== undefined && keeps(value.producer) && value.producer.inputs[0] !== undefined) {
    if (value.producer.is('Clip')) clips.push(value.producer);
    value = value.producer.inputs[0];
  }
  return { value, clips };
}

/** Operators that only change the shape: a sum over the classes may come through them to the division. */
const views = new Set(['Identity', 'Reshape', 'Squeeze', 'Unsqueeze', 'Expand', 'Flatten']);

function behindViews(value: Value | undefined): Node | undefined {
  let node = value?.producer;
  while (node?.domain === '' && views.has(node.opType)) node = node.inputs[0]?.producer;
  return node;
}

type End = Omit<Found, 'warnings' | 'node'>;

function softmax(node: Node, { opset, dims }: EndFacts): End | undefined {
  const logits = node.inputs[0];
  if (logits === undefined) return undefined;
  const isLog = node.is('LogSoftmax');
  const isQuantized = node.domain === 'com.microsoft' && node.opType === 'QLinearSoftmax';
  if (!isLog && !isQuantized && !node.is('Softmax')) return undefined;
  const axis = node.int('axis', opset < 13 ? 1 : -1);
  const isOld = isQuantized ? node.int('opset', opset) < 13 : opset < 13;
  return isOverClasses(dims(logits), [axis], isOld) ? { kind: isLog ? 'log-softmax' : 'softmax', logits } : undefined;
}

/**
 * Whether the axes are those of the classes: of all axes but the batch, only they may be longer than 1. Up to ai.onnx 12 a
 * Softmax is one over its axis and all behind it (`isRest`).
 */
function isOverClasses(dims: readonly number[] | undefined, axes: readonly number[], isRest = false): boolean {
  if (dims === undefined) return axes.every((axis) => axis === 1 || axis === -1);
  const rank = dims.length;
  const positive = axes.map((axis) => (axis < 0 ? axis + rank : axis));
  const isReduced = (axis: number): boolean => (isRest ? axis >= Math.min(...positive) : positive.includes(axis));
  if (rank < 2 || isReduced(0)) return false;
  const classes = dims.findIndex((dim, axis) => axis > 0 && dim > 1);
  return classes > 0 && isReduced(classes) && dims.every((dim, axis) => axis === 0 || dim === 1 || isReduced(axis));
}

/** Whether `node` reduces `value` over the classes. */
function reduces(node: Node | undefined, opType: string, value: Value, facts: EndFacts): boolean {
  if (node?.is(opType) !== true || node.inputs[0] !== value) return false;
  return isOverClasses(facts.dims(value), staticAxes(node) ?? []) && (staticAxes(node)?.length ?? 0) > 0;
}

/** z, of z − max z; else the value itself. */
function unshifted(value: Value, facts: EndFacts): Value {
  const node = value.producer;
  const [z, largest] = node?.is('Sub') === true ? node.inputs : [];
  if (z === undefined) return value;
  return reduces(behindViews(largest), 'ReduceMax', z, facts) ? z : value;
}

/** Whether a node sums exp(exponent) over the classes. */
function sumsExponentials(node: Node | undefined, exponent: Value, facts: EndFacts): boolean {
  const terms = node?.inputs[0];
  return (
    terms?.producer?.is('Exp') === true &&
    terms.producer.inputs[0] === exponent &&
    reduces(node, 'ReduceSum', terms, facts)
  );
}

/** exp(z) / Σ exp(z), or exp(z) · (1 / Σ exp(z)). */
function spelledSoftmax(node: Node, facts: EndFacts): End | undefined {
  const isProduct = node.is('Mul');
  if (!isProduct && !node.is('Div')) return undefined;
  const [a, b] = node.inputs;
  const orders = isProduct
    ? [
        [a, b],
        [b, a],
      ]
    : [[a, b]];
  for (const [numerator, denominator] of orders) {
    const exponent = numerator?.producer?.is('Exp') === true ? numerator.producer.inputs[0] : undefined;
    if (exponent === undefined) continue;
    const factor = behindViews(denominator);
    const sum = isProduct ? (factor?.is('Reciprocal') === true ? behindViews(factor.inputs[0]) : undefined) : factor;
    if (sumsExponentials(sum, exponent, facts)) return { kind: 'softmax', logits: unshifted(exponent, facts) };
  }
  return undefined;
}

/** z − log Σ exp(z). */
function spelledLogSoftmax(node: Node, facts: EndFacts): End | undefined {
  const [z, subtrahend] = node.is('Sub') ? node.inputs : [];
  if (z === undefined) return undefined;
  const subtracted = behindViews(subtrahend);
  const isLogSum =
    reduces(subtracted, 'ReduceLogSumExp', z, facts) ||
    (subtracted?.is('Log') === true && sumsExponentials(behindViews(subtracted.inputs[0]), z, facts));
  return isLogSum ? { kind: 'log-softmax', logits: unshifted(z, facts) } : undefined;
}

const isOne = (value: Value | undefined): boolean => {
  const numbers = staticNumbers(value);
  return numbers?.length === 1 && numbers[0] === 1;
};

/** Sigmoid, or 1 / (1 + exp(−z)). */
function sigmoid(node: Node): End | undefined {
  const isQuantized = node.domain === 'com.microsoft' && node.opType === 'QLinearSigmoid';
  if (node.is('Sigmoid') || isQuantized) return { kind: 'sigmoid', logits: node.inputs[0]! };
  const denominator = node.is('Reciprocal')
    ? node.inputs[0]
    : node.is('Div') && isOne(node.inputs[0])
      ? node.inputs[1]
      : undefined;
  if (denominator?.producer?.is('Add') !== true) return undefined;
  const [a, b] = denominator.producer.inputs;
  const exponential = isOne(a) ? b : isOne(b) ? a : undefined;
  const negative = exponential?.producer?.is('Exp') === true ? exponential.producer.inputs[0]?.producer : undefined;
  return negative?.is('Neg') === true ? { kind: 'sigmoid', logits: negative.inputs[0]! } : undefined;
}

/** Bounds may cut so much of a probability: 1e-7 is what Keras cuts. */
const slack = 1e-4;

/** The end, with a line for each Clip of its result that changes it. */
function told(end: Found, clips: readonly Node[]): Found {
  const { kind } = end;
  const warnings = clips.flatMap((node) => {
    const bound = (name: string, index: number, fallback: number): number =>
      node.float(name) ?? staticNumbers(node.inputs[index])?.[0] ?? fallback;
    const [low, high] = [bound('min', 1, -Infinity), bound('max', 2, Infinity)];
    const isKept =
      kind === 'log-softmax' ? low <= Math.log(slack) && high >= -slack : low <= slack && high >= 1 - slack;
    return isKept ? [] : [`${node.label} cuts the model's outputs to ${low} to ${high}: losses are of what it reads`];
  });
  return { ...end, warnings: [...end.warnings, ...warnings] };
}

/** What may follow a Softmax and make of its probabilities numbers that are neither these nor logits. */
const arithmetic = new Set(['Mul', 'Div', 'Add', 'Sub', 'Pow', 'Sqrt', 'Log', 'Exp', 'Clip', 'Neg', 'Abs']);

function lookFurther(output: Value, facts: EndFacts): string[] {
  let value = output;
  for (let steps = 0; steps < 8; steps++) {
    ({ value } = pass(value));
    const node = value.producer;
    if (node === undefined) return [];
    if (softmax(node, facts) !== undefined || sigmoid(node) !== undefined) {
      const behind = output.producer!.label;
      return [
        `the output is computed from probabilities (${node.label}) by ${behind}, and is taken as logits: cut the model off behind its last layer if that is not meant`,
      ];
    }
    const next =
      node.domain === '' && arithmetic.has(node.opType)
        ? node.inputs.find((input) => input?.producer !== undefined)
        : undefined;
    if (next === undefined) return [];
    value = next;
  }
  return [];
}
