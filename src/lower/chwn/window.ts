import type { Node } from '../../graph/node.js';
import { sizeOf } from '../../ops/support/layout.js';
import { convolvedDims, pooledDims, type Window, windowOf } from '../../ops/support/window.js';

/** Where the windows of a convolution or pool lie, all numbers known. */
export interface Geometry {
  /** Spatial dims before and behind. */
  readonly from: readonly number[];
  readonly to: readonly number[];
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Padding before the first element of each axis. What lies behind the last follows from the rest. */
  readonly before: readonly number[];
  /** Elements of a window. */
  readonly taps: number;
}

/** Of a convolution over `spatial`. */
export function convGeometry(node: Node, kernel: readonly number[], spatial: readonly number[]): Geometry {
  const window = windowOf(node, kernel, spatial.length);
  const to = convolvedDims(spatial, window);
  const before = spatial.map((length, axis) => {
    const extent = window.dilations[axis]! * (kernel[axis]! - 1) + 1;
    return beginning(window, axis, (to[axis]! - 1) * window.strides[axis]! + extent - length);
  });
  return { ...window, from: spatial, to, before, taps: sizeOf(kernel) };
}

/** Of a pool; undefined where onnxruntime's padding is not that of a plain window (SAME_* with dilations). */
export function poolGeometry(node: Node, spatial: readonly number[]): Geometry | undefined {
  const kernel = node.ints('kernel_shape');
  if (kernel === undefined) return undefined;
  const window = windowOf(node, kernel, spatial.length);
  if (window.autoPad.startsWith('SAME') && window.dilations.some((dilation) => dilation !== 1)) return undefined;
  const to = pooledDims(spatial, window, node.int('ceil_mode', 0) !== 0);
  const before = spatial.map((length, axis) =>
    beginning(window, axis, (to[axis]! - 1) * window.strides[axis]! + kernel[axis]! - length),
  );
  return { ...window, from: spatial, to, before, taps: sizeOf(kernel) };
}

/** SAME_UPPER puts the odd one of the `missing` behind, SAME_LOWER before. */
function beginning(window: Window, axis: number, missing: number): number {
  if (window.autoPad === 'VALID') return 0;
  if (window.autoPad === 'SAME_UPPER') return Math.floor(Math.max(0, missing) / 2);
  if (window.autoPad === 'SAME_LOWER') return Math.ceil(Math.max(0, missing) / 2);
  return window.pads[axis]!;
}

/** Whether each window is the element at its own place. */
export function isPointwise(geometry: Geometry): boolean {
  return (
    geometry.taps === 1 &&
    geometry.strides.every((stride) => stride === 1) &&
    geometry.before.every((before) => before === 0) &&
    geometry.from.every((length, axis) => length === geometry.to[axis])
  );
}

/** A table [taps, positions]: for each tap and position where to read, −1 for padding. */
export interface Table {
  readonly taps: number;
  /** Number of positions read from. */
  readonly from: number;
  /** Number of positions, the second axis. */
  readonly to: number;
  readonly at: Int32Array;
  readonly hasPadding: boolean;
}

/** What each tap of each window reads: output position → input position. */
export function windowTable(geometry: Geometry): Table {
  return table(geometry.kernel, geometry.from, geometry.to, (tap, position, axis) => {
    const at = position * geometry.strides[axis]! + tap * geometry.dilations[axis]! - geometry.before[axis]!;
    return at < geometry.from[axis]! ? at : -1;
  });
}

/** The adjoint of `windowTable`: which window reads an input position by a tap. Input position → output position. */
export function adjointTable(geometry: Geometry): Table {
  return table(geometry.kernel, geometry.to, geometry.from, (tap, position, axis) => {
    const shifted = position - tap * geometry.dilations[axis]! + geometry.before[axis]!;
    const stride = geometry.strides[axis]!;
    if (shifted < 0 || shifted % stride !== 0) return -1;
    const at = shifted / stride;
    return at < geometry.to[axis]! ? at : -1;
  });
}

function table(
  kernel: readonly number[],
  from: readonly number[],
  to: readonly number[],
  read: (tap: number, position: number, axis: number) => number,
): Table {
  const taps = sizeOf(kernel);
  const positions = sizeOf(to);
  const at = new Int32Array(taps * positions);
  // One axis after the other: what is there of the axes so far, times the length, plus the place on this axis.
  for (let axis = 0, tapsAfter = taps, positionsAfter = positions; axis < kernel.length; axis++) {
    tapsAfter /= kernel[axis]!;
    positionsAfter /= to[axis]!;
    for (let i = 0; i < taps; i++) {
      const tap = Math.floor(i / tapsAfter) % kernel[axis]!;
      for (let p = 0; p < positions; p++) {
        const place = read(tap, Math.floor(p / positionsAfter) % to[axis]!, axis);
        const index = i * positions + p;
        at[index] = at[index]! < 0 || place < 0 ? -1 : at[index]! * from[axis]! + place;
      }
    }
  }
  return { taps, from: sizeOf(from), to: positions, at, hasPadding: at.includes(-1) };
}
