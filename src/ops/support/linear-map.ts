import type { Value } from '../../graph/value.js';
import type { Emitter } from '../emitter.js';
import { sizeOf } from './layout.js';

/** A matrix [rows, columns], row-major: a linear map from `columns` to `rows` elements along one axis. */
export interface LinearMap {
  readonly rows: number;
  readonly columns: number;
  readonly elements: Float32Array;
}

/** The map whose row r holds the pairs (column, weight) of `terms(r)`; weights of one column add up. */
export function linearMap(
  rows: number,
  columns: number,
  terms: (row: number) => Iterable<readonly [number, number]>,
): LinearMap {
  const elements = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (const [column, weight] of terms(row)) elements[row * columns + column]! += weight;
  }
  return { rows, columns, elements };
}

export function isIdentity({ rows, columns, elements }: LinearMap): boolean {
  return rows === columns && elements.every((value, i) => value === (i % (columns + 1) === 0 ? 1 : 0));
}

/**
 * The adjoint of `map` along `axis`, which is not the batch: dx with x̄[…, c, …] = Σ_r A[r, c] · dy[…, r, …]. One MatMul with
 * a constant matrix, of rows · columns multiply-accumulates for each of the other elements: plain and exact for every map
 * that works along one axis (pools, interpolation, reflection), on every device.
 */
export function adjointAlong(e: Emitter, dy: Value, axis: number, map: LinearMap): Value {
  if (isIdentity(map)) return dy;
  const dims = e.dims(dy);
  const { dataType } = e.typeOf(dy);
  if (axis === dims.length - 1) {
    return e.emit('MatMul', [dy, e.floats(map.elements, [map.rows, map.columns], dataType)]);
  }
  const { rows, columns } = map;
  const transposed = new Float32Array(rows * columns);
  map.elements.forEach((value, i) => (transposed[(i % columns) * rows + Math.floor(i / columns)] = value));
  const matrix = e.floats(transposed, [columns, rows], dataType);
  if (axis === dims.length - 2) return e.emit('MatMul', [matrix, dy]);
  const product = e.emit('MatMul', [matrix, e.reshape(dy, [-1, rows, sizeOf(dims.slice(axis + 1))])]);
  return e.reshape(
    product,
    dims.map((dim, i) => (i === axis ? columns : i === 0 ? -1 : dim)),
  );
}
