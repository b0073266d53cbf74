import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import { rowProducts } from './conv-operator.js';
import type { Geometry } from './window.js';

/**
 * Σ over the windows of dy [O, M] times what each tap reads of x [I, …spatial, N]: [O, I · taps]. Every tap's view is a
 * slice of the padded input, long runs of memory.
 */
export function tapProducts(e: Emitter, dy: Value, x: Value, geometry: Geometry): Value {
  const { from, to, kernel, strides, dilations, before, taps } = geometry;
  const [outputs, columns] = e.dims(dy) as [number, number];
  const channels = e.dims(x)[0]!;
  const reach = (axis: number): number => (to[axis]! - 1) * strides[axis]! + dilations[axis]! * (kernel[axis]! - 1) + 1;
  const after = from.map((length, axis) => Math.max(0, reach(axis) - length - before[axis]!));
  const padded = e.pad(x, [0, ...before, 0, 0, ...after, 0]);
  const axes = from.map((_, axis) => axis + 1);
  const products = Array.from({ length: taps }, (_, tap) => {
    let rest = tap;
    const starts = from.map(() => 0);
    for (let axis = from.length - 1; axis >= 0; axis--) {
      starts[axis] = (rest % kernel[axis]!) * dilations[axis]!;
      rest = Math.floor(rest / kernel[axis]!);
    }
    const ends = starts.map((start, axis) => start + (to[axis]! - 1) * strides[axis]! + 1);
    const view = e.slice(padded, starts, ends, axes, strides);
    const product = rowProducts(e, dy, e.reshape(view, [channels, columns]));
    return e.reshape(product, [1, outputs, channels]);
  });
  return e.reshape(e.transpose(e.concat(products, 0), [1, 2, 0]), [outputs, channels * taps]);
}
