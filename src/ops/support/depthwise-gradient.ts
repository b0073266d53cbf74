import { int, ints } from '../../graph/attributes.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../emitter.js';
import { type Convolution, endsRead } from './convolution.js';

/** Up to this width products by row take less time on CPU than a convolution: 3.4 to 35 ms where that takes 5 to 53; above, more. */
const narrow = 48;

/** dw [M, 1, …] of a depthwise convolution (one channel per group), in the form that is faster on CPU. */
export function depthwiseWeightGradient(e: Emitter, convolution: Convolution, x: Value, dy: Value): Value {
  const { group, filters, input } = convolution;
  const isByRow = input.length === 2 && filters === group && input[1]! <= narrow;
  return (isByRow ? depthwiseWeightByProducts : depthwiseWeightByConvolution)(e, convolution, x, dy);
}

/**
 * One convolution in which dy is the kernel, the batch takes the place of the channels that are summed over, and strides and
 * dilations change places. On CPU 3 to 6 times as fast as products by tap (80–150 ms where those take 300–700).
 */
export function depthwiseWeightByConvolution(e: Emitter, convolution: Convolution, x: Value, dy: Value): Value {
  const { group, filters, kernel, strides, dilations, begins } = convolution;
  const exchange = [1, 0, ...kernel.map((_, axis) => axis + 2)];
  const ends = endsRead(convolution);
  const cut = [0, 0, ...begins.map((size) => Math.min(0, size)), 0, 0, ...ends.map((size) => Math.min(0, size))];
  const kept = e.pad(x, cut);
  const image = e.reshape(e.transpose(kept, exchange), [1, -1, ...e.dims(kept).slice(2)]);
  const result = e.emit('Conv', [image, e.transpose(dy, exchange)], {
    group: int(group),
    strides: ints(dilations),
    dilations: ints(strides),
    pads: ints([...begins, ...ends].map((size) => Math.max(0, size))),
  });
  return e.reshape(result, [filters, 1, ...kernel]);
}

/**
 * dw [C, 1, kh, kw], where dw[c, i, j] = Σ x[n, c, h·sh + i·dh, v·sw + j·dw] · dy[n, c, h, v] over n, h and v. For each row i of
 * the kernel one product of matrices a channel, over all images and rows, G[c, u, v] = Σ x[n, c, h·sh + i·dh, u] · dy[n, c, h, v];
 * dw[c, i, j] sums the diagonal u = v·sw + j·dw of it, which is a product with a constant of zeros and ones.
 */
export function depthwiseWeightByProducts(e: Emitter, convolution: Convolution, x: Value, dy: Value): Value {
  const { channels, kernel, strides, dilations, begins, input, output } = convolution;
  const [rows, columns] = output as [number, number];
  const ends = endsRead(convolution);
  const width = input[1]! + begins[1]! + ends[1]!;
  const exchange = [1, 0, 2, 3];
  // [C, N, height, width] and [C, N·rows, columns]
  const image = e.pad(e.transpose(x, exchange), [0, 0, ...begins, 0, 0, ...ends]);
  const right = e.reshape(e.transpose(dy, exchange), [channels, -1, columns]);
  const diagonals = new Float32Array(width * columns * kernel[1]!);
  for (let j = 0; j < kernel[1]!; j++) {
    for (let v = 0; v < columns; v++) {
      diagonals[((v * strides[1]! + j * dilations[1]!) * columns + v) * kernel[1]! + j] = 1;
    }
  }
  const sums = e.floats(diagonals, [width * columns, kernel[1]!], e.typeOf(dy).dataType);
  const byRow = Array.from({ length: kernel[0]! }, (_, i) => {
    const start = i * dilations[0]!;
    const met = e.slice(image, [start], [start + (rows - 1) * strides[0]! + 1], [2], [strides[0]!]);
    const left = e.transpose(e.reshape(met, [channels, -1, width]), [0, 2, 1]);
    return e.emit('MatMul', [e.reshape(e.emit('MatMul', [left, right]), [channels, -1]), sums]);
  });
  return e.reshape(e.concat(byRow, 1), [channels, 1, ...kernel]);
}
