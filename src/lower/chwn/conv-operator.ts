import { int, ints } from '../../graph/attributes.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import { sizeOf } from '../../ops/support/layout.js';
import type { Geometry } from './window.js';

/**
 * The Conv operator on one image whose last spatial axis is the batch, along which the kernel is 1 long: onnxruntime then
 * copies whole blocks of N, and gathers the windows of a few columns at a time, in the cache.
 * x [I, …spatial, N], weight [O, I, …kernel] → [O, …spatial, N].
 */
export function convolve(e: Emitter, x: Value, weight: Value, geometry: Geometry): Value {
  const { from, to, kernel, strides, dilations, before } = geometry;
  const [outputs, channels] = e.dims(weight) as [number, number];
  const batch = e.dims(x).at(-1)!;
  const after = to.map(
    (length, axis) =>
      (length - 1) * strides[axis]! + dilations[axis]! * (kernel[axis]! - 1) + 1 - from[axis]! - before[axis]!,
  );
  const cut = after.flatMap((pad, axis) => (pad < 0 ? [axis] : []));
  const read =
    cut.length === 0
      ? x
      : e.slice(
          x,
          cut.map(() => 0),
          cut.map((axis) => from[axis]! + after[axis]!),
          cut.map((axis) => axis + 1),
        );
  const image = e.reshape(read, [1, channels, ...e.dims(read).slice(1, -1), batch]);
  const y = e.emit('Conv', [image, e.reshape(weight, [outputs, channels, ...kernel, 1])], {
    kernel_shape: ints([...kernel, 1]),
    strides: ints([...strides, 1]),
    dilations: ints([...dilations, 1]),
    pads: ints([...before, 0, ...after.map((pad) => Math.max(0, pad)), 0]),
  });
  return e.reshape(y, [outputs, ...to, batch]);
}

/**
 * matrix [O, K] · x [K, M] for large M, as a convolution of 1 × 1, which onnxruntime computes as fast as MatMul or faster.
 */
export function multiply(e: Emitter, matrix: Value, x: Value): Value {
  const [outputs, rows] = e.dims(matrix) as [number, number];
  const columns = e.dims(x)[1]!;
  const inputs = [e.reshape(x, [1, rows, 1, columns]), e.reshape(matrix, [outputs, rows, 1, 1])];
  return e.reshape(e.emit('Conv', inputs, { kernel_shape: ints([1, 1]) }), [outputs, columns]);
}

/** matrixᵀ · x: the matrix is transposed first, as Gemm takes up to twice the time with transA. */
export function multiplyTransposed(e: Emitter, matrix: Value, x: Value): Value {
  return multiply(e, e.transpose(matrix, [1, 0]), x);
}

/**
 * a [R, M] · bᵀ, b [S, M], for large M: the smaller one goes second, as onnxruntime rearranges the second. A third axis
 * keeps its optimizer from taking the transposition back into the product.
 */
export function rowProducts(e: Emitter, a: Value, b: Value): Value {
  const [first, second] = [e.dims(a)[0]!, e.dims(b)[0]!];
  if (second <= first) return e.gemm(a, b, { transB: true });
  const swapped = e.reshape(e.gemm(b, a, { transB: true }), [second, first, 1]);
  return e.reshape(e.transpose(swapped, [1, 0, 2]), [first, second]);
}

/**
 * The adjoint of `convolve` with stride 1, as the convolution of dy [O, M] with the weight turned by half and its channels
 * exchanged; undefined where there are strides, or padding beyond the windows.
 */
export function turnedConvolution(
  e: Emitter,
  dy: Value,
  weight: Value,
  geometry: Geometry,
  batch: number,
): Value | undefined {
  const { from, to, kernel, strides, dilations, before, taps } = geometry;
  const back = kernel.map((length, axis) => dilations[axis]! * (length - 1) - before[axis]!);
  if (strides.some((stride) => stride !== 1) || back.some((pad) => pad < 0)) return undefined;
  const [outputs, channels] = e.dims(weight) as [number, number];
  const exchanged = e.transpose(e.reshape(weight, [outputs, channels, taps]), [1, 0, 2]);
  const reversed = e.ints(Array.from({ length: taps }, (_, tap) => taps - 1 - tap));
  const turned = e.emit('Gather', [exchanged, reversed], { axis: int(2) });
  return convolve(e, e.reshape(dy, [outputs, ...to, batch]), e.reshape(turned, [channels, outputs, ...kernel]), {
    ...geometry,
    from: to,
    to: from,
    before: back,
    taps: sizeOf(kernel),
  });
}
