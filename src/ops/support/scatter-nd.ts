import { int } from '../../graph/attributes.js';
import type { Value } from '../../graph/value.js';
import { INT64 } from '../../onnx/data-type.js';
import type { Emitter } from '../emitter.js';
import { sizeOf } from './layout.js';
import { scatterElements } from './scatter.js';
import { stridesOf, upTo } from './select.js';

/**
 * The gradient of GatherND: a tensor like x with the slices of `dy` added at the tuples of `indices`, after `batchDims`
 * common axes. Tuples are turned into row numbers of x as a matrix, whose rows are then added in order.
 */
export function scatterTuples(e: Emitter, dy: Value, indices: Value, x: Value, batchDims: number): Value {
  const dims = e.dims(x);
  const indexRank = e.rank(indices);
  const tuple = e.dims(indices).at(-1)!;
  const length = sizeOf(dims.slice(batchDims + tuple));
  const numbers = rowNumbers(e, e.cast(indices, INT64), x, batchDims);
  const column = e.emit('Reshape', [numbers, e.ints([-1, 1])]);
  const updates = e.emit('Reshape', [dy, e.ints([-1, length])]);
  const matrix = e.emit('Reshape', [e.zerosLike(x), e.ints([-1, length])]);
  const places = e.emit('Expand', [column, e.shapeOf(updates)]);
  const sums = scatterElements(e, updates, places, matrix, 0);
  return indexRank === 0 ? sums : e.reshapeLike(sums, x);
}

/** Which row of x, as a matrix of what is behind the indexed axes, each tuple means. */
function rowNumbers(e: Emitter, indices: Value, x: Value, batchDims: number): Value {
  const dims = e.dims(x);
  const rank = e.rank(indices);
  const tuple = e.dims(indices).at(-1)!;
  const sizes = e.slice(e.shapeOf(x), [batchDims], [batchDims + tuple], [0]);
  const isNegative = e.cast(e.emit('Less', [indices, e.ints([0], [])]), INT64);
  const positive = e.add(indices, e.mul(isNegative, sizes));
  const strides = stridesOf(dims.slice(batchDims, batchDims + tuple));
  const within = e.reduceSum(e.mul(positive, e.ints(strides)), [rank - 1], false);
  if (batchDims === 0) return within;
  // Batches lie one behind the other: the first row of each is its number times the rows of one.
  const common = e.slice(e.shapeOf(x), [0], [batchDims], [0]);
  const count = e.emit('ReduceProd', [common], { keepdims: int(0) });
  const starts = e.mul(
    e.emit('Range', [e.ints([0], []), count, e.ints([1], [])]),
    e.ints([sizeOf(dims.slice(batchDims, batchDims + tuple))], []),
  );
  const ones = e.ints(upTo(rank - 1 - batchDims).map(() => 1));
  const shape = rank - 1 === batchDims ? common : e.concat([common, ones], 0);
  return e.add(within, e.emit('Reshape', [starts, shape]));
}
