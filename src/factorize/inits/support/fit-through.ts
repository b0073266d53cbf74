import { throwIfAborted } from '../../../errors.js';
import type { Matrix, Matrix64 } from '../../../linalg/types.js';
import { type ScalarFunction, scalarFunction } from '../../activations/scalar.js';
import type { LayerSamples } from '../../calibration/types.js';
import type { FittedPair, InitProblem } from '../../types.js';
import type { FactorPair } from '../../../rewrite/types.js';
import { inverseOf } from './reduced-rank.js';

type Layer = Pick<InitProblem, 'weight' | 'rowsPerNeuron' | 'linalg' | 'signal'>;

const mostSteps = 40;
/** Steps end where one gains less than this share of the loss. */
const tolerance = 5e-4;
/** Share of the features' mean square by which the left factor is held to where it started, per sample: at least this. */
const leastHold = 1e-4;

/**
 * The left factor and bias that minimize Σ(σ(P̂) − σ(P))² over samples, where P̂ = current + a·((Ŵ − W)x̂ + shift), for the
 * right factor as it is. With features z = right·x̂ the argument is linear in the unknowns, and a parabola of curvature
 * 2K ≥ that of (σ(·) − σ(P))² at P̂ lies above the loss there: its minimum is a linear regression on z, the same matrix in
 * every step. The loss is held to fall by doubling K where it would not, and steps are carried on (Nesterov), from the start
 * again where that overshoots. ReLU, Clip: K = 1. Little data: a penalty on the way from the start, which falls with the
 * number of samples.
 */
export async function fitThrough(
  problem: Layer,
  samples: LayerSamples,
  start: FactorPair,
  hasBias: boolean,
): Promise<FittedPair & { readonly loss: number }> {
  const { rowsPerNeuron: parts, linalg, signal } = problem;
  const { target, scale } = samples;
  const neurons = target.cols;
  const rank = start.left.cols;
  const size = parts * rank;
  const base = await withoutLayer(problem, samples);
  const features = await featuresOf(problem, samples.inputs, start.right);
  const centers = hasBias ? center(features) : new Float64Array(size);
  const gram = await linalg.gemm64(features, features, { transposeA: true, signal });
  let trace = 0;
  for (let i = 0; i < size; i++) trace += gram.data[i * (size + 1)]!;
  const hold = Math.max(leastHold, size / (size + features.rows) / 10) * (trace / size);
  for (let i = 0; i < size; i++) gram.data[i * (size + 1)] = gram.data[i * (size + 1)]! + hold;
  const inverse = await inverseOf(linalg, gram, signal);
  if (inverse === undefined)
    return { ...start, shift: undefined, loss: await sampleLoss(problem, samples, start, undefined) };

  const search = createSearch({ problem, samples, base, features, inverse, hold, hasBias });
  const first: Point = {
    left: scaledRows(start.left.data, scale, size),
    bias: centeredBias(start.left.data, scale, centers),
  };
  const left = await search(first);
  // Back to the layer's own scale; a neuron that the scale erases keeps what it had.
  const result = Float32Array.from(left.left, (value, at) => {
    const a = scale[Math.floor(at / size)]!;
    return a === 0 ? start.left.data[at]! : value / a;
  });
  const pair = { left: { ...start.left, data: result }, right: start.right };
  const shift = hasBias ? shiftOf(left, scale, centers, neurons) : undefined;
  return { ...pair, shift, loss: await sampleLoss(problem, samples, pair, shift) };
}

/** sqrt(Σ(σ(P̂) − σ(P))² / Σσ(P)²) of a pair on the samples. */
export async function sampleLoss(
  problem: Layer,
  samples: LayerSamples,
  pair: FactorPair,
  shift: ArrayLike<number> | undefined,
): Promise<number> {
  const { linalg, rowsPerNeuron: parts } = problem;
  const { target, scale } = samples;
  const f = scalarFunction(samples.activation);
  const base = await withoutLayer(problem, samples);
  const features = await featuresOf(problem, samples.inputs, pair.right);
  const joint = { rows: target.cols, cols: parts * pair.left.cols, data: pair.left.data };
  const outputs = await linalg.gemm(features, joint, { transposeB: true });
  let error = 0;
  let total = 0;
  for (let at = 0; at < target.data.length; at++) {
    const neuron = at % target.cols;
    const argument = base.data[at]! + scale[neuron]! * (outputs.data[at]! + (shift?.[neuron] ?? 0));
    const wanted = f.value(target.data[at]!);
    error += (f.value(argument) - wanted) ** 2;
    total += wanted * wanted;
  }
  if (!(total > 0)) return error > 0 ? Infinity : 0;
  return Math.sqrt(error / total);
}

/** current − a·Wx̂: what other layers and the bias add. */
async function withoutLayer({ weight, linalg }: Layer, { inputs, current, scale }: LayerSamples): Promise<Matrix> {
  const joint = { rows: current.cols, cols: inputs.cols, data: weight.data };
  const outputs = await linalg.gemm(inputs, joint, { transposeB: true });
  for (let at = 0; at < outputs.data.length; at++) {
    outputs.data[at] = current.data[at]! - scale[at % current.cols]! * outputs.data[at]!;
  }
  return outputs;
}

/** z: right times each part of a patch, one row for each sample. */
async function featuresOf({ rowsPerNeuron: parts, linalg }: Layer, inputs: Matrix, right: Matrix): Promise<Matrix> {
  const rows = { rows: inputs.rows * parts, cols: right.cols, data: inputs.data };
  const { data } = await linalg.gemm(rows, right, { transposeB: true });
  return { rows: inputs.rows, cols: parts * right.rows, data };
}

/** Takes the mean from every column, in place. */
function center({ rows, cols, data }: Matrix): Float64Array {
  const means = new Float64Array(cols);
  for (let at = 0; at < data.length; at++) means[at % cols] = means[at % cols]! + data[at]! / rows;
  for (let at = 0; at < data.length; at++) data[at] = data[at]! - means[at % cols]!;
  return means;
}

/** The left factor, one row per neuron, times a; and what is added behind. */
interface Point {
  readonly left: Float32Array;
  readonly bias: Float64Array;
}

interface Search {
  readonly problem: Layer;
  readonly samples: LayerSamples;
  readonly base: Matrix;
  readonly features: Matrix;
  readonly inverse: Matrix64;
  readonly hold: number;
  readonly hasBias: boolean;
}

function createSearch(context: Search): (first: Point) => Promise<Point> {
  const { problem, samples, base, features, inverse, hold, hasBias } = context;
  const { linalg, signal } = problem;
  const { rows, cols: neurons } = samples.target;
  const size = features.cols;
  const f = scalarFunction(samples.activation);
  const wanted = samples.target.data.map((x) => f.value(x));
  const inverse32: Matrix = { rows: size, cols: size, data: Float32Array.from(inverse.data) };
  const argumentOf = async (point: Point): Promise<Float32Array> => {
    const left = { rows: neurons, cols: size, data: point.left };
    const { data } = await linalg.gemm(features, left, { transposeB: true });
    for (let at = 0; at < data.length; at++) data[at] = data[at]! + base.data[at]! + point.bias[at % neurons]!;
    return data;
  };
  const lossOf = (argument: Float32Array, point: Point, first: Point): number =>
    squaredError(f, argument, wanted) + hold * squaredDistance(point.left, first.left);

  return async (first) => {
    let curvature = 1;
    let point = first;
    let argument = await argumentOf(point);
    let loss = lossOf(argument, point, first);
    let from = point;
    let fromArgument = argument;
    let isCarried = false;
    let momentum = 1;
    for (let step = 0; step < mostSteps; step++) {
      throwIfAborted(signal);
      // e = σ′(P̂)(σ(P̂) − σ(P)), in the memory of the argument.
      const slope = { rows, cols: neurons, data: halfGradient(f, fromArgument, wanted) };
      const gradient = await linalg.gemm(slope, features, { transposeA: true });
      for (let i = 0; i < gradient.data.length; i++) {
        gradient.data[i] = gradient.data[i]! + hold * (from.left[i]! - first.left[i]!);
      }
      const direction = await linalg.gemm(gradient, inverse32);
      const biasStep = hasBias ? columnMeans(slope) : new Float64Array(neurons);
      const next: Point = {
        left: from.left.map((value, i) => value - direction.data[i]! / curvature),
        bias: from.bias.map((value, i) => value - biasStep[i]! / curvature),
      };
      const nextArgument = await argumentOf(next);
      const nextLoss = lossOf(nextArgument, next, first);
      if (!(nextLoss < loss)) {
        // Carried too far: again from where the loss was least; from there, the parabola was too flat.
        if (!isCarried) curvature *= 2;
        if (curvature > 64) break;
        isCarried = false;
        from = point;
        fromArgument = argument;
        momentum = 1;
        continue;
      }
      const gained = loss - nextLoss;
      const nextMomentum = (1 + Math.sqrt(1 + 4 * momentum * momentum)) / 2;
      const carry = (momentum - 1) / nextMomentum;
      isCarried = carry > 0;
      const carried = (now: number, before: number): number => now + carry * (now - before);
      from = {
        left: next.left.map((value, i) => carried(value, point.left[i]!)),
        bias: next.bias.map((value, i) => carried(value, point.bias[i]!)),
      };
      // The argument is linear in both.
      const before = argument;
      fromArgument = nextArgument.map((value, i) => carried(value, before[i]!));
      momentum = nextMomentum;
      [point, argument, loss] = [next, nextArgument, nextLoss];
      if (gained < tolerance * loss) break;
    }
    return point;
  };
}

function squaredError(f: ScalarFunction, argument: Float32Array, wanted: Float32Array): number {
  const { value } = f;
  let sum = 0;
  for (let at = 0; at < argument.length; at++) {
    const error = value(argument[at]!) - wanted[at]!;
    sum += error * error;
  }
  return sum;
}

/** σ′(P̂)(σ(P̂) − σ(P)): half of the gradient by the argument. */
function halfGradient({ value, slope }: ScalarFunction, argument: Float32Array, wanted: Float32Array): Float32Array {
  return argument.map((x, at) => slope(x) * (value(x) - wanted[at]!));
}

function squaredDistance(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}

function columnMeans({ rows, cols, data }: Matrix): Float64Array {
  const means = new Float64Array(cols);
  for (let at = 0; at < data.length; at++) means[at % cols] = means[at % cols]! + data[at]! / rows;
  return means;
}

/** diag(a)·left, one row per neuron of `size` numbers. */
function scaledRows(left: Float32Array, scale: Float64Array, size: number): Float32Array {
  return left.map((value, at) => value * scale[Math.floor(at / size)]!);
}

/** What must be added where features are centered: a·left·E[z]. */
function centeredBias(left: Float32Array, scale: Float64Array, centers: Float64Array): Float64Array {
  const size = centers.length;
  return scale.map((a, neuron) => {
    let sum = 0;
    for (let k = 0; k < size; k++) sum += left[neuron * size + k]! * centers[k]!;
    return a * sum;
  });
}

/** What is added behind the pair where features are not centered. */
function shiftOf({ left, bias }: Point, scale: Float64Array, centers: Float64Array, neurons: number): Float32Array {
  const size = centers.length;
  return Float32Array.from({ length: neurons }, (_, neuron) => {
    const a = scale[neuron]!;
    if (a === 0) return 0;
    let sum = 0;
    for (let k = 0; k < size; k++) sum += left[neuron * size + k]! * centers[k]!;
    return (bias[neuron]! - sum) / a;
  });
}
