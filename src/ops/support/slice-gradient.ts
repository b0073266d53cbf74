import type { Value } from '../../graph/value.js';
import type { Emitter } from '../emitter.js';
import { type GradientContext, rule } from '../gradient.js';
import { shapeError } from './fail.js';
import { type Range, sliceRanges } from './slice-ranges.js';

/**
 * Of Slice: `dy` with zeros where nothing was taken. Along axes of known size these are put around it (Pad) and, for steps,
 * between its elements; along an open batch its elements are written where the same Slice finds their indices.
 */
export const sliceGradient = rule((context) => {
  const { e, node, opset, inputs, gradients } = context;
  const x = inputs[0]!;
  const known = inputs.map((value) => (value === undefined ? undefined : e.typeOf(value)));
  const ranges = sliceRanges({ node, opset, inputs: known });
  if (ranges === undefined) throw shapeError('what it takes is not known before the run');
  const whole = ranges.map((range, axis) => (isOpen(e, range, axis) ? { ...wholeOf(range.count) } : range));
  const sizes = e.dims(x).map((size, axis) => (whole[axis] === ranges[axis] ? size : ranges[axis]!.count));
  const spread = spreadOut(e, gradients[0]!, whole, sizes);
  const open = ranges[0];
  return [open !== undefined && isOpen(e, open, 0) ? scatterRows(context, spread, open) : spread];
});

function wholeOf(count: number): Range {
  return { first: 0, step: 1, count };
}

/** Whether the range is of the batch, of whatever size it is, and leaves something out. */
function isOpen(e: Emitter, range: Range, axis: number): boolean {
  const isAll = range.given === undefined || (range.first === 0 && range.step === 1 && range.given.end >= 2 ** 31 - 1);
  return e.isBatchOpen && axis === 0 && !isAll;
}

/** `dy` at the indices of `ranges` in a tensor of `sizes` that is zero elsewhere. */
function spreadOut(e: Emitter, dy: Value, ranges: readonly Range[], sizes: readonly number[]): Value {
  const backward = ranges.flatMap(({ step, count }, axis) => (step < 0 && count > 1 ? [axis] : []));
  let result =
    backward.length === 0
      ? dy
      : e.slice(
          dy,
          backward.map(() => -1),
          backward.map(() => -(2 ** 31)),
          backward,
          backward.map(() => -1),
        );
  const begins = ranges.map(({ first, step, count }) => (step < 0 ? first + (count - 1) * step : first));
  const steps = ranges.map(({ step, count }) => (count > 1 ? Math.abs(step) : 1));
  steps.forEach((step, axis) => {
    if (step > 1) result = dilate(e, result, axis, step);
  });
  // Dilated, the last element has step − 1 zeros behind it: padding by less than none cuts them away.
  const ends = sizes.map((size, axis) => size - begins[axis]! - ranges[axis]!.count * steps[axis]!);
  return e.pad(result, [...begins.map((begin, axis) => (ranges[axis]!.count === 0 ? 0 : begin)), ...ends]);
}

/** Each element along `axis` followed by step − 1 zeros. */
function dilate(e: Emitter, x: Value, axis: number, step: number): Value {
  const dims = e.dims(x);
  const apart = e.unsqueeze(x, [axis + 1]);
  const pads = Array.from({ length: 2 * (dims.length + 1) }, () => 0).with(dims.length + 1 + axis + 1, step - 1);
  const target = dims.map((dim, i) => (i === axis ? dim * step : i < axis ? 0 : dim));
  return e.reshape(e.pad(apart, pads), target);
}

/** `dy` written to the rows of a tensor like x that the Slice took. */
function scatterRows({ e, inputs }: GradientContext, dy: Value, { given }: Range): Value {
  const [x, starts, ends, , steps] = inputs;
  const { place } = given!;
  const entry = (list: Value): Value => e.slice(list, [place], [place + 1], [0]);
  const rows = e.emit('Squeeze', [e.slice(e.shapeOf(x!), [0], [1], [0]), e.ints([0])]);
  const all = e.emit('Range', [e.ints([0], []), rows, e.ints([1], [])]);
  const lists = [entry(starts!), entry(ends!), e.ints([0]), ...(steps === undefined ? [] : [entry(steps)])];
  const taken = e.emit('Slice', [all, ...lists]);
  return e.emit('ScatterND', [e.zerosLike(x!), e.unsqueeze(taken, [1]), dy]);
}
