import { sizeOf } from '../../ops/support/layout.js';

/**
 * Where a tensor holds the images of a batch: along `axis`, whose size is outer · batch · inner. [197·N, 768] of a
 * transformer that puts tokens first has outer 197; windows [N·64, 49, C] have inner 64.
 */
export interface Place {
  readonly axis: number;
  readonly outer: number;
  readonly inner: number;
}

/** [N, …]. */
export const firstAxis: Place = { axis: 0, outer: 1, inner: 1 };

export function isSamePlace(a: Place, b: Place): boolean {
  return a.axis === b.axis && a.outer === b.outer && a.inner === b.inner;
}

/** The same elements where the axis of the batch is another one. */
export function movedTo({ outer, inner }: Place, axis: number): Place {
  return { axis, outer, inner };
}

/** Dims with `factor` times as many images. */
export function withImages(dims: readonly number[], place: Place | undefined, factor: number): readonly number[] {
  return place === undefined ? dims : dims.with(place.axis, dims[place.axis]! * factor);
}

/**
 * Where tensors of `dims`, of the elements of a tensor `from` with its images at `place`, can hold the same images: the
 * likeliest place first. More than one where axes of one element, or no division of the batch, leave it open.
 */
export function placesBehind(
  from: readonly number[],
  place: Place,
  dims: readonly number[],
  batch: number,
): readonly Place[] {
  const before = sizeOf(from.slice(0, place.axis)) * place.outer;
  const places: Place[] = [];
  let product = 1;
  dims.forEach((dim, axis) => {
    const outer = before / product;
    const inner = dim / (outer * batch);
    if (Number.isInteger(outer) && Number.isInteger(inner) && inner > 0) places.push({ axis, outer, inner });
    product *= dim;
  });
  const cost = ({ axis, outer, inner }: Place): number => {
    if (outer * inner === 1) return axis === place.axis ? 0 : 1;
    if (axis > 0 && axis === dims.length - 1) return 4;
    return outer === 1 ? 2 : 3;
  };
  return places.toSorted((a, b) => cost(a) - cost(b));
}
