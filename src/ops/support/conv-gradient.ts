import { int, ints } from '../../graph/attributes.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../emitter.js';
import { type Convolution, endsRead, extents } from './convolution.js';
import { depthwiseWeightGradient } from './depthwise-gradient.js';
import { sizeOf } from './layout.js';

/**
 * dx of a convolution. Stride 1: a convolution of dy with the flipped kernel whose input and output channels are exchanged
 * (2.4–7.2 ms where ConvTranspose takes 7.0–8.5 on CPU). Larger strides: ConvTranspose, which is the adjoint by definition.
 */
export function convDataGradient(e: Emitter, convolution: Convolution, w: Value, dy: Value): Value {
  return convolution.strides.every((stride) => stride === 1)
    ? byFlippedKernel(e, convolution, w, dy)
    : byTransposedConvolution(e, convolution, w, dy);
}

function byFlippedKernel(e: Emitter, convolution: Convolution, w: Value, dy: Value): Value {
  const { group, dilations, begins, input, output } = convolution;
  const reach = extents(convolution).map((extent) => extent - 1);
  const before = reach.map((size, axis) => size - begins[axis]!);
  const after = reach.map((size, axis) => input[axis]! - output[axis]! + size - before[axis]!);
  // A convolution pads, it does not cut.
  const cut = [0, 0, ...before.map((size) => Math.min(0, size)), 0, 0, ...after.map((size) => Math.min(0, size))];
  return e.emit('Conv', [e.pad(dy, cut), flipped(e, convolution, w)], {
    group: int(group),
    dilations: ints(dilations),
    pads: ints([...before, ...after].map((size) => Math.max(0, size))),
  });
}

/** w [M, C/group, …] as [C, M/group, …], every spatial axis reversed. */
function flipped(e: Emitter, { group, channels, filters, kernel }: Convolution, w: Value): Value {
  const axes = kernel.flatMap((size, axis) => (size > 1 ? [axis + 2] : []));
  const reversed =
    axes.length === 0
      ? w
      : e.slice(
          w,
          axes.map(() => -1),
          axes.map((axis) => -kernel[axis - 2]! - 1),
          axes,
          axes.map(() => -1),
        );
  if (group === 1) return e.transpose(reversed, [1, 0, ...kernel.map((_, axis) => axis + 2)]);
  const split = e.reshape(reversed, [group, filters / group, channels / group, ...kernel]);
  const exchanged = e.transpose(split, [0, 2, 1, ...kernel.map((_, axis) => axis + 3)]);
  return e.reshape(exchanged, [channels, filters / group, ...kernel]);
}

function byTransposedConvolution(e: Emitter, convolution: Convolution, w: Value, dy: Value): Value {
  const { group, strides, dilations, begins, input, output } = convolution;
  const full = extents(convolution).map((extent, axis) => strides[axis]! * (output[axis]! - 1) + extent);
  // What is missing at the end when the padding is cut off on both sides alike, as every device can.
  const missing = full.map((size, axis) => input[axis]! - (size - 2 * begins[axis]!));
  const isSymmetric = missing.every((size, axis) => begins[axis]! >= 0 && size >= 0 && size < strides[axis]!);
  const attributes = { group: int(group), strides: ints(strides), dilations: ints(dilations) };
  if (isSymmetric) {
    return e.emit('ConvTranspose', [dy, w], {
      ...attributes,
      pads: ints([...begins, ...begins]),
      output_padding: ints(missing),
    });
  }
  const ends = full.map((size, axis) => input[axis]! - (size - begins[axis]!));
  return e.pad(e.emit('ConvTranspose', [dy, w], attributes), [0, 0, ...begins.map((size) => -size), 0, 0, ...ends]);
}

/** Below this many channels the taps of a weight gradient go into one product: many thin ones are slow. */
const thin = 16;

/**
 * dw of a convolution: for each tap of the kernel, the product of dy with the elements of x that the tap meets, summed over
 * positions and batch: a MatMul per tap (8.9 ms where a Conv with exchanged axes takes 17 on CPU, 11.4 against 99). Either one
 * product an image, whose results are summed, or, where these are more than x and dy, one for the whole batch, for which x and
 * dy are transposed first.
 */
export function convWeightGradient(e: Emitter, convolution: Convolution, x: Value, dy: Value): Value {
  const { group, channels, filters, kernel, input, output } = convolution;
  if (channels === group) return depthwiseWeightGradient(e, convolution, x, dy);
  const positions = sizeOf(output);
  const [inputs, outputs] = [channels / group, filters / group];
  const isWhole = sizeOf(kernel) * inputs * filters > channels * sizeOf(input) + filters * positions;
  const exchange = [1, 0, ...kernel.map((_, axis) => axis + 2)];
  const taps = tapsOf(e, convolution, isWhole ? e.transpose(x, exchange) : x);
  /** [N, g, C/g, P], or [g, C/g, N·P]. */
  const flat = (value: Value, each: number): Value =>
    e.reshape(value, isWhole ? [group, each, -1] : [0, group, each, positions]);
  const right = isWhole
    ? e.transpose(flat(e.transpose(dy, exchange), outputs), [0, 2, 1])
    : e.transpose(flat(dy, outputs), [0, 1, 3, 2]);
  const product = (left: Value): Value => {
    const result = e.emit('MatMul', [left, right]);
    return isWhole ? result : e.reduceSum(result, [0], false);
  };
  const grouped = taps.map((tap) => flat(tap, inputs));
  // [g, taps, C/g, M/g], or [g, taps · C/g, M/g], which is the same.
  const byTap = inputs < thin ? product(e.concat(grouped, isWhole ? 1 : 2)) : e.concat(grouped.map(product), 1);
  const ordered = e.transpose(e.reshape(byTap, [group, taps.length, inputs, outputs]), [0, 3, 2, 1]);
  return e.reshape(ordered, [filters, inputs, ...kernel]);
}

/** The convolution itself, of x by w, with what is cut from x cut. */
export function convolve(e: Emitter, convolution: Convolution, x: Value, w: Value): Value {
  const { group, strides, dilations, begins } = convolution;
  const ends = endsRead(convolution);
  const cut = [0, 0, ...begins.map((size) => Math.min(0, size)), 0, 0, ...ends.map((size) => Math.min(0, size))];
  return e.emit('Conv', [e.pad(x, cut), w], {
    group: int(group),
    strides: ints(strides),
    dilations: ints(dilations),
    pads: ints([...begins, ...ends].map((size) => Math.max(0, size))),
  });
}

/** For each tap of the kernel, in the kernel's order, the elements of x that it meets: [N, C, …output]. */
function tapsOf(e: Emitter, convolution: Convolution, x: Value): Value[] {
  const { kernel, strides, dilations, begins, output } = convolution;
  const read = output.map((size, axis) => (size - 1) * strides[axis]! + 1);
  const padded = e.pad(x, [0, 0, ...begins, 0, 0, ...endsRead(convolution)]);
  let places: number[][] = [[]];
  for (const size of kernel) places = places.flatMap((place) => Array.from({ length: size }, (_, i) => [...place, i]));
  if (places.length === 1 && strides.every((stride) => stride === 1)) return [padded];
  const axes = kernel.map((_, axis) => axis + 2);
  return places.map((place) => {
    const starts = place.map((tap, axis) => tap * dilations[axis]!);
    const stops = starts.map((start, axis) => start + read[axis]!);
    return e.slice(padded, starts, stops, axes, strides);
  });
}

/** db of a convolution: dy summed over batch and positions. */
export function convBiasGradient(e: Emitter, dy: Value): Value {
  return e.reduceSum(
    dy,
    [
      0,
      ...e
        .dims(dy)
        .slice(2)
        .map((_, axis) => axis + 2),
    ],
    false,
  );
}
