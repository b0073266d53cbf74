import type { Node } from '../../graph/node.js';
import { unsupported } from './fail.js';
import { type LinearMap, linearMap } from './linear-map.js';

/** One axis that is resized: its sizes and the scale that coordinates are computed with. */
export interface ResizedAxis {
  readonly input: number;
  readonly output: number;
  readonly scale: number;
}

const f = Math.fround;

/** Where an element of the result lies in the input, in float32 as onnxruntime computes it. */
const coordinates: Readonly<Record<string, (i: number, axis: ResizedAxis) => number>> = {
  asymmetric: (i, { scale }) => f(i / scale),
  half_pixel: (i, { scale }) => f(f((i + 0.5) / scale) - 0.5),
  pytorch_half_pixel: (i, { scale, output }) => (output > 1 ? f(f((i + 0.5) / scale) - 0.5) : 0),
  tf_half_pixel_for_nn: (i, { scale }) => f((i + 0.5) / scale),
  align_corners: (i, { input, output }) => (output === 1 ? 0 : f((i * (input - 1)) / (output - 1))),
  half_pixel_symmetric: (i, { input, output, scale }) => {
    const adjustment = f(output / f(scale * input));
    return f(f((input / 2) * f(1 - adjustment)) + f(f((i + 0.5) / scale) - 0.5));
  },
};

const roundings: Readonly<Record<string, (x: number) => number>> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

/** Weights of the four elements around a place that is `t` after the second of them (Keys 1981). */
function cubicWeights(t: number, a: number): number[] {
  const near = (d: number): number => ((a + 2) * d - (a + 3)) * d * d + 1;
  const far = (d: number): number => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return [far(1 + t), near(t), near(1 - t), far(2 - t)];
}

const clamp = (x: number, size: number): number => Math.min(Math.max(x, 0), size - 1);

type Terms = (place: number, axis: ResizedAxis) => [number, number][];

function nearestTerms(node: Node): Terms {
  const name = node.string('nearest_mode', 'round_prefer_floor');
  const round = roundings[name];
  if (round === undefined) throw unsupported(node, `Resize with nearest_mode '${name}' has no gradient`);
  return (place, { input }) => [[clamp(round(place), input), 1]];
}

const linearTerms: Terms = (place, { input }) => {
  const inside = clamp(place, input);
  const first = Math.floor(inside);
  const weight = inside - first;
  return [
    [first, 1 - weight],
    [clamp(first + 1, input), weight],
  ];
};

function cubicTerms(node: Node): Terms {
  const a = node.float('cubic_coeff_a', -0.75);
  const excludesOutside = node.int('exclude_outside', 0) !== 0;
  return (place, { input }) => {
    const second = Math.floor(place);
    const all = cubicWeights(place - second, a).map((weight, i): [number, number] => [second - 1 + i, weight]);
    if (!excludesOutside) return all.map(([index, weight]) => [clamp(index, input), weight]);
    const inside = all.filter(([index]) => index >= 0 && index < input);
    const sum = inside.reduce((total, [, weight]) => total + weight, 0);
    return inside.map(([index, weight]) => [index, weight / sum]);
  };
}

/**
 * Resize (ai.onnx 11 and later) along one axis as a map: interpolation works along one axis after the other.
 * Throws UNSUPPORTED for antialias where the axis shrinks, and for tf_crop_and_resize.
 */
export function resizeMap(node: Node, axis: ResizedAxis): LinearMap {
  const mode = node.string('mode', 'nearest');
  const transformation = node.string('coordinate_transformation_mode', 'half_pixel');
  const coordinate = coordinates[transformation];
  if (coordinate === undefined) {
    throw unsupported(node, `Resize with coordinate_transformation_mode '${transformation}' has no gradient`);
  }
  if (node.int('antialias', 0) !== 0 && axis.scale < 1) {
    throw unsupported(node, 'Resize with antialias has no gradient where it shrinks an axis');
  }
  const choices: Readonly<Record<string, () => Terms>> = {
    nearest: () => nearestTerms(node),
    linear: () => linearTerms,
    cubic: () => cubicTerms(node),
  };
  const terms = choices[mode]?.();
  if (terms === undefined) throw unsupported(node, `Resize in mode '${mode}' has no gradient`);
  const place = (i: number): number => (axis.scale === 1 ? i : coordinate(i, axis));
  return linearMap(axis.output, axis.input, (row) => terms(place(row), axis));
}
