import { int } from '../graph/attributes.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { INT64 } from '../onnx/data-type.js';
import type { Emitter } from './emitter.js';
import { noFlow, rule } from './gradient.js';
import type { Operator } from './operator.js';
import { shapeError, unsupported } from './support/fail.js';
import { input, known } from './support/known.js';
import { showDims, sizeOf } from './support/layout.js';
import { scatterElements } from './support/scatter.js';

/**
 * How one axis is interpolated: from the element at `first` behind the rounded place on, with weights that are polynomials of the
 * distance t from the rounded place. Row p of `coefficients` holds those of tᵖ, a column for each element.
 */
interface Interpolation {
  readonly round: 'Floor' | 'Round';
  readonly first: number;
  readonly coefficients: readonly (readonly number[])[];
}

/** Keys 1981, with the constant that onnxruntime and PyTorch have. */
const a = -0.75;
const nearest: Interpolation = { round: 'Round', first: 0, coefficients: [[1]] };
const linear: Interpolation = {
  round: 'Floor',
  first: 0,
  coefficients: [
    [1, 0],
    [-1, 1],
  ],
};
const cubic: Interpolation = {
  round: 'Floor',
  first: -1,
  coefficients: [
    [0, 1, 0, 0],
    [a, 0, -a, 0],
    [-2 * a, -(a + 3), 2 * a + 3, a],
    [a, a + 2, -(a + 2), -a],
  ],
};

/** ai.onnx 20 has other names than 16. */
const modes: Readonly<Record<string, Interpolation>> = { nearest, linear, bilinear: linear, cubic, bicubic: cubic };

const paddings = new Set(['zeros', 'border', 'reflection']);

interface Sampling {
  readonly interpolation: Interpolation;
  readonly padding: string;
  readonly isAligned: boolean;
}

function samplingOf(node: Node, rank: number): Sampling {
  const mode = node.string('mode', 'linear');
  const padding = node.string('padding_mode', 'zeros');
  const interpolation = modes[mode];
  if (interpolation === undefined) throw unsupported(node, `GridSample in mode '${mode}' has no gradient`);
  if (!paddings.has(padding)) {
    throw unsupported(node, `GridSample with padding_mode '${padding}' has no gradient`);
  }
  if (rank !== 4 && (rank !== 5 || interpolation === cubic)) {
    throw unsupported(node, `GridSample in mode '${mode}' of ${rank - 2} axes has no gradient: no runtime computes it`);
  }
  return { interpolation, padding, isAligned: node.int('align_corners', 0) !== 0 };
}

/** Of one axis, for every point [N, points, …]: the elements that it takes, their weights, and how those change with the grid. */
interface Taps {
  readonly places: Value;
  readonly weights: Value;
  readonly slopes: Value;
}

/** Elements beyond the ends as the padding has them: x, a place or the number of an element, brought back to the axis. */
function broughtBack(e: Emitter, x: Value, size: number, { padding, isAligned }: Sampling): Value {
  let inside = x;
  const range = isAligned ? size - 1 : size;
  if (padding === 'reflection' && range > 0) {
    const low = isAligned ? 0 : -0.5;
    const beyond = e.emit('Abs', [e.sub(x, e.scalar(low, x))]);
    const turns = e.emit('Floor', [e.scale(beyond, 1 / (2 * range))]);
    const rest = e.sub(beyond, e.scale(turns, 2 * range));
    inside = e.add(e.emit('Min', [rest, e.sub(e.scalar(2 * range, x), rest)]), e.scalar(low, x));
  }
  return e.emit('Clip', [inside, e.scalar(0, x), e.scalar(size - 1, x)]);
}

/** 1 strictly between the ends, else 0. */
function isWithin(e: Emitter, x: Value, low: number, high: number): Value {
  const isAbove = e.emit('Greater', [x, e.scalar(low, x)]);
  return e.indicator(e.emit('And', [isAbove, e.emit('Less', [x, e.scalar(high, x)])]), x);
}

function tapsOf(e: Emitter, grid: Value, size: number, sampling: Sampling): Taps {
  const { interpolation, padding, isAligned } = sampling;
  const { round, first, coefficients } = interpolation;
  const plusOne = e.add(grid, e.scalar(1, grid));
  // In onnxruntime's order of operations: where a place lies between two elements, its rounding decides.
  const x = isAligned
    ? e.scale(e.scale(plusOne, 0.5), size - 1)
    : e.scale(e.sub(e.scale(plusOne, size), e.scalar(1, grid)), 0.5);
  const base = e.emit(round, [x]);
  const t = e.sub(x, base);
  const powers = coefficients
    .slice(1)
    .reduce<Value[]>((all, _, i) => [...all, i === 0 ? t : e.mul(all[i - 1]!, t)], []);
  const polynomial = (rows: readonly (readonly number[])[]): Value => {
    const constant = e.floats(rows[0]!, [1, 1, rows[0]!.length], e.typeOf(grid).dataType);
    return rows.slice(1).reduce<Value>((sum, row, i) => {
      const factors = e.floats(row, [1, 1, row.length], e.typeOf(grid).dataType);
      return e.add(sum, e.mul(powers[i]!, factors));
    }, constant);
  };
  const derivative = coefficients.slice(1).map((row, i) => row.map((coefficient) => coefficient * (i + 1)));
  const width = coefficients[0]!.length;
  const offsets = Array.from({ length: width }, (_, i) => first + i);
  const numbers = e.add(base, e.floats(offsets, [1, 1, width], e.typeOf(grid).dataType));
  const places = e.cast(broughtBack(e, numbers, size, sampling), INT64);
  const scale = (isAligned ? size - 1 : size) / 2;
  let weights = polynomial(coefficients);
  let slopes = derivative.length === 0 ? e.zerosLike(x) : e.scale(polynomial(derivative), scale);
  if (padding === 'zeros') {
    const isThere = isWithin(e, numbers, -0.5, size - 0.5);
    weights = e.mul(weights, isThere);
    slopes = e.mul(slopes, isThere);
  } else if (interpolation === linear) {
    // Where it bends at the ends there is no derivative; PyTorch takes 0.
    slopes = e.mul(slopes, isWithin(e, broughtBack(e, x, size, sampling), 0, size - 1));
  }
  return { places, weights, slopes };
}

/** Every element of a [N, points, m] with every one of b [N, points, n], as [N, points, m · n]. */
function eachWithEach(e: Emitter, opType: 'Add' | 'Mul', left: Value, right: Value): Value {
  const both = e.emit(opType, [e.unsqueeze(left, [3]), e.unsqueeze(right, [2])]);
  return e.reshape(both, [0, e.dims(left)[1]!, e.dims(left)[2]! * e.dims(right)[2]!]);
}

const product = (e: Emitter, factors: readonly Value[]): Value =>
  factors.reduce((left, right) => eachWithEach(e, 'Mul', left, right));

/** The numbers of the elements [N, points, taps] in what lies behind the channels. */
function placesOf(e: Emitter, taps: readonly Taps[], sizes: readonly number[]): Value {
  return taps
    .map(({ places }) => places)
    .reduce((left, right, i) => eachWithEach(e, 'Add', e.mul(left, e.ints([sizes[i]!], [])), right));
}

/**
 * x [N, C, …] sampled at grid [N, out…, axes], whose last axis names the last axis of x first (ai.onnx 16, 20, 22).
 * y = Σ over taps of weight · x there: the gradient adds weight · dy to those elements of x, and gives the grid the sum over
 * channels and taps of dy · x · slope. Throws UNSUPPORTED in its gradient for what no runtime computes.
 */
export const gridSample: Operator = {
  opType: 'GridSample',
  domain: '',
  settings: [1],
  gradient: rule(({ e, node, inputs: [image, where], gradients: [dy], needs }) => {
    const [x, grid] = [e.wide(image!), e.wide(where!)];
    const { dataType } = e.typeOf(x);
    const sampling = samplingOf(node, e.rank(x));
    const [, channels, ...sizes] = e.dims(x) as [number, number, ...number[]];
    const points = sizeOf(e.dims(grid).slice(1, -1));
    const joined = e.reshape(grid, [0, points, sizes.length]);
    const taps = sizes.map((size, axis) => {
      const at = sizes.length - 1 - axis;
      return tapsOf(e, e.slice(joined, [at], [at + 1], [2]), size, sampling);
    });
    const count = sampling.interpolation.coefficients[0]!.length ** sizes.length;
    const ofPoint = e.reshape(placesOf(e, taps, sizes), [0, 1, points * count]);
    const places = e.add(ofPoint, e.ints(Array<number>(channels).fill(0), [1, channels, 1]));
    const flat = e.reshape(x, [0, channels, sizeOf(sizes)]);
    const perPoint = e.reshape(e.wide(dy!), [0, channels, points, 1]);
    const toImage = (): Value => {
      const weights = e.cast(product(e, taps.map((tap) => tap.weights)), dataType); // prettier-ignore
      const updates = e.mul(perPoint, e.unsqueeze(weights, [1]));
      const sums = scatterElements(e, e.reshape(updates, [0, channels, points * count]), places, flat, 2);
      return e.reshapeLike(sums, x);
    };
    const toGrid = (): Value => {
      const taken = e.emit('GatherElements', [flat, places], { axis: int(2) });
      const ofTaps = e.reduceSum(e.mul(e.reshape(taken, [0, channels, points, count]), perPoint), [1], false);
      const parts = taps.map((_, axis) => {
        const factors = taps.map(({ weights, slopes }, i) => (i === axis ? slopes : weights));
        return e.reduceSum(e.mul(ofTaps, e.cast(product(e, factors), dataType)), [2]);
      });
      return e.cast(e.reshapeLike(e.concat(parts.toReversed(), 2), grid), e.typeOf(grid).dataType);
    };
    const isFlat = sampling.interpolation === nearest;
    return [needs[0] === true ? toImage() : undefined, needs[1] !== true ? undefined : isFlat ? noFlow : toGrid()];
  }),
  infer: (context) => {
    const x = input(context, 0);
    const grid = input(context, 1).dims;
    if (grid.length !== x.dims.length || x.dims.length < 3 || grid[0] !== x.dims[0]) {
      throw shapeError(`grid ${showDims(grid)} for ${showDims(x.dims)}`);
    }
    return [known(x.dataType, [x.dims[0]!, x.dims[1]!, ...grid.slice(1, -1)])];
  },
};
