import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import { sizeOf } from '../../ops/support/layout.js';
import { convolve, multiply, multiplyTransposed, rowProducts, turnedConvolution } from './conv-operator.js';
import { biasGradient, type DenseConv, scaledRows, withBias } from './conv-parts.js';
import { gatherSum, gatherTaps } from './gather.js';
import { expanded } from './gradient.js';
import type { LowerContext } from './rule.js';
import { adjointTable, isPointwise, windowTable } from './window.js';

/**
 * Y = W [O, I·k] · H, H [I·k, M] what every tap of every window reads: a product of matrices where that is the input
 * itself, else the operator, which makes H piece by piece. Back: dW = dY Hᵀ, dH = Wᵀ dY, and dX gathers and adds what the
 * taps of dH hold of each element. A scale of dY goes into the rows of dW and W.
 */
export function gatherFirst(context: LowerContext, conv: DenseConv): Value {
  const { e } = context;
  const { x, weight, bias, geometry, label } = conv;
  const [channels, batch] = [e.dims(x)[0]!, e.dims(x).at(-1)!];
  const outputs = e.dims(weight)[0]!;
  const [from, to] = [sizeOf(geometry.from), sizeOf(geometry.to)];
  const matrix = e.reshape(weight, [outputs, channels * geometry.taps]);
  const product = isPointwise(geometry)
    ? multiply(e, matrix, e.reshape(x, [channels, to * batch]))
    : convolve(e, x, weight, geometry);
  const y = withBias(e, e.reshape(product, [outputs, ...geometry.to, batch]), bias);
  const weightGradient = (dy: Value): Value => {
    if (isPointwise(geometry)) return rowProducts(e, dy, e.reshape(x, [channels, from * batch]));
    const table = windowTable(geometry);
    const products = inParts(e, e.reshape(x, [channels, from, batch]), geometry.taps * to * batch).map((part) => {
      const rows = gatherTaps(e, part, table);
      return rowProducts(e, dy, e.reshape(rows, [e.dims(part)[0]! * geometry.taps, to * batch]));
    });
    return products.length === 1 ? products[0]! : e.concat(products, 1);
  };
  context.record({
    inputs: [x, weight, bias],
    outputs: [y],
    label,
    backward: ([gradient], needs) => {
      const dy = e.reshape(expanded(e, gradient!, y), [outputs, to * batch]);
      const { scale } = gradient!;
      const dw = needs[1] === true ? scaledRows(e, weightGradient(dy), scale) : undefined;
      const dx = needs[0] === true ? inputGradient(e, conv, scaledRows(e, matrix, scale), dy) : undefined;
      return [
        dx === undefined ? undefined : { value: e.reshapeLike(dx, x) },
        dw === undefined ? undefined : { value: e.reshapeLike(dw, weight) },
        needs[2] === true ? biasGradient(e, gradient!, y) : undefined,
      ];
    },
  });
  return y;
}

/** Elements of what is gathered at a time: the larger, the better it fills the product, and the more memory it takes. */
const mostGathered = 2 ** 25;

/** x [C, …] in parts along its channels, each of which gives at most `mostGathered` elements, `each` for one channel. */
function inParts(e: Emitter, x: Value, each: number): readonly Value[] {
  const channels = e.dims(x)[0]!;
  const most = Math.max(1, Math.floor(mostGathered / each));
  const count = Math.ceil(channels / most);
  if (count === 1) return [x];
  const sizes = Array.from({ length: count }, (_, i) => Math.floor(((i + 1) * channels) / count));
  return e.split(
    x,
    sizes.map((end, i) => end - (sizes[i - 1] ?? 0)),
  );
}

/**
 * Whether a convolution with the channels as rows of a product fills onnxruntime's kernels: with 19 rows it takes a third
 * longer than gathering, with 38 as long, with 64 two thirds of the time.
 */
const isWide = (channels: number, outputs: number): boolean => channels >= 48 || channels >= outputs;

/** Columns per output channel from which turning the weight costs less than gathering: measured between 6 and 12. */
const turnsBeyond = 8;

/** `matrix` [O, I·k] is the weight with the scale of `dy` [O, M]. */
function inputGradient(e: Emitter, { x, weight, geometry }: DenseConv, matrix: Value, dy: Value): Value {
  if (isPointwise(geometry)) return multiplyTransposed(e, matrix, dy);
  const [channels, batch] = [e.dims(x)[0]!, e.dims(x).at(-1)!];
  const [outputs, columns] = e.dims(dy) as [number, number];
  if (isWide(channels, outputs) && columns > turnsBeyond * outputs) {
    const dx = turnedConvolution(e, dy, e.reshapeLike(matrix, weight), geometry, batch);
    if (dx !== undefined) return dx;
  }
  const table = adjointTable(geometry);
  // One column of zeros more gives the row of zeros that padding reads.
  const wide = table.hasPadding ? e.pad(matrix, [0, 0, 0, 1]) : matrix;
  const taps = multiplyTransposed(e, wide, dy);
  return gatherSum(e, e.reshape(taps, [e.dims(taps)[0]!, table.from, batch]), channels, table);
}
