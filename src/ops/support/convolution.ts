import type { Node } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../emitter.js';
import { convolutionBegins, type Window, windowOf } from './window.js';

/** A convolution of x [N, C, …] by w [M, C/group, …] to y [N, M, …], its padding resolved; one number per spatial axis. */
export interface Convolution {
  readonly group: number;
  /** C and M. */
  readonly channels: number;
  readonly filters: number;
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Zeros before x; negative where x is cut. */
  readonly begins: readonly number[];
  readonly input: readonly number[];
  readonly output: readonly number[];
}

/** The convolution that a Conv node computes; `dy` has the shape of its result. */
export function convolutionOf(e: Emitter, node: Node, x: Value, w: Value, dy: Value): Convolution {
  const [, channels, ...input] = e.dims(x);
  const [filters, , ...kernel] = e.dims(w);
  const output = e.dims(dy).slice(2);
  const sizes = { channels: channels!, filters: filters!, kernel, input, output };
  return convolutionBetween(node, sizes, (window) => convolutionBegins(input, output, window));
}

/** With the attributes of a Conv or ConvTranspose node; `beginsOf` gives the zeros before x. */
export function convolutionBetween(
  node: Node,
  sizes: Pick<Convolution, 'channels' | 'filters' | 'kernel' | 'input' | 'output'>,
  beginsOf: (window: Window) => readonly number[],
): Convolution {
  const window = windowOf(node, sizes.kernel, sizes.kernel.length);
  const { strides, dilations } = window;
  return { group: node.int('group', 1), ...sizes, strides, dilations, begins: beginsOf(window) };
}

export const extents = ({ kernel, dilations }: Convolution): number[] =>
  kernel.map((size, axis) => dilations[axis]! * (size - 1) + 1);

/** Zeros after each axis of x, up to the last element that a window reads; negative where it reads less than x. */
export function endsRead(convolution: Convolution): number[] {
  const { strides, begins, input, output } = convolution;
  return extents(convolution).map(
    (extent, axis) => (output[axis]! - 1) * strides[axis]! + extent - input[axis]! - begins[axis]!,
  );
}
