import { int, string } from '../../graph/attributes.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../emitter.js';
import { upTo } from './select.js';

/**
 * The gradient of Gather: a tensor like x, the sum of the rows of `dy` that were taken from each place along `axis`.
 * Where the indices are known, by Pad or Gather; else by ScatterElements, which adds in order (ScatterND adds in
 * parallel: not always to the same sum, and not even safely, where an index comes twice).
 */
export function scatterRows(e: Emitter, dy: Value, indices: Value, x: Value, axis: number): Value {
  const rank = e.rank(x);
  const dims = e.dims(x);
  const joined =
    e.rank(indices) === 1
      ? dy
      : e.reshape(
          dy,
          dims.map((dim, i) => (i < axis ? 0 : i === axis ? -1 : dim)),
        );
  const list = e.isBatchOpen && axis === 0 ? undefined : e.typeOf(indices).constant;
  const size = dims[axis]!;
  const places = list?.map((index) => (index < 0 ? index + size : index));
  const gathered = places === undefined ? undefined : gatherBack(e, joined, places, size, axis);
  if (gathered !== undefined) return gathered;
  const column = e.emit('Reshape', [indices, e.ints(upTo(rank).map((i) => (i === axis ? -1 : 1)))]);
  return scatterElements(e, joined, e.emit('Expand', [column, e.shapeOf(joined)]), x, axis);
}

/** The rows of `dy` at `places` of `size`, zeros elsewhere; undefined where a place comes twice. */
function gatherBack(e: Emitter, dy: Value, places: readonly number[], size: number, axis: number): Value | undefined {
  if (new Set(places).size < places.length) return undefined;
  const rank = e.rank(dy);
  const around = (before: number, after: number): Value =>
    e.pad(dy, [
      ...upTo(rank).map((i) => (i === axis ? before : 0)),
      ...upTo(rank).map((i) => (i === axis ? after : 0)),
    ]);
  const first = places[0] ?? 0;
  if (places.every((place, i) => place === first + i)) return around(first, size - first - places.length);
  const inverse = upTo(size).map((place) => places.indexOf(place));
  // Places that nothing was taken from read the row of zeros behind the others.
  const source = inverse.includes(-1) ? around(0, 1) : dy;
  const rows = inverse.map((row) => (row < 0 ? places.length : row));
  return e.emit('Gather', [source, e.ints(rows)], { axis: int(axis) });
}

/** The gradient of GatherElements: a tensor like x with the elements of `dy` added at `indices`. */
export function scatterElements(e: Emitter, dy: Value, indices: Value, x: Value, axis: number): Value {
  return e.emit('ScatterElements', [e.zerosLike(x), indices, dy], { axis: int(axis), reduction: string('add') });
}
