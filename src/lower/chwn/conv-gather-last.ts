import type { Value } from '../../graph/value.js';
import { sizeOf } from '../../ops/support/layout.js';
import { multiply, multiplyTransposed, rowProducts } from './conv-operator.js';
import { biasGradient, type DenseConv, scaledRows, withBias } from './conv-parts.js';
import { gatherSum, gatherTaps } from './gather.js';
import { expanded } from './gradient.js';
import type { LowerContext } from './rule.js';
import { adjointTable, windowTable } from './window.js';

/**
 * Z = W [O·k, I] · X, every tap of every output channel at every element; Y gathers and adds what the taps of its windows
 * hold. Back: D [O·k, M] is what each tap of each element is read by, dW = D Xᵀ, dX = Wᵀ D. A scale of dY goes into the
 * rows of dW and W.
 */
export function gatherLast(context: LowerContext, conv: DenseConv): Value {
  const { e } = context;
  const { x, weight, bias, geometry, label } = conv;
  const [channels, batch] = [e.dims(x)[0]!, e.dims(x).at(-1)!];
  const outputs = e.dims(weight)[0]!;
  const { taps } = geometry;
  const [from, to] = [sizeOf(geometry.from), sizeOf(geometry.to)];
  const table = windowTable(geometry);
  const byTap = e.transpose(e.reshape(weight, [outputs, channels, taps]), [0, 2, 1]);
  const matrix = e.reshape(byTap, [outputs * taps, channels]);
  const rows = e.reshape(x, [channels, from * batch]);
  // One row of zeros more for what padding reads.
  const product = multiply(e, table.hasPadding ? e.pad(matrix, [0, 0, 1, 0]) : matrix, rows);
  const sum = gatherSum(e, e.reshape(product, [e.dims(product)[0]!, from, batch]), outputs, table);
  const y = withBias(e, e.reshape(sum, [outputs, ...geometry.to, batch]), bias);
  context.record({
    inputs: [x, weight, bias],
    outputs: [y],
    label,
    backward: ([gradient], needs) => {
      const dy = e.reshape(expanded(e, gradient!, y), [outputs, to, batch]);
      const read = e.reshape(gatherTaps(e, dy, adjointTable(geometry)), [outputs * taps, from * batch]);
      const { scale } = gradient!;
      const scaled = (value: Value): Value => {
        const blocks = e.reshape(value, [outputs, taps * channels]);
        return scale === undefined ? value : e.reshape(scaledRows(e, blocks, scale), [outputs * taps, channels]);
      };
      const back = (value: Value): Value =>
        e.reshapeLike(e.transpose(e.reshape(value, [outputs, taps, channels]), [0, 2, 1]), weight);
      return [
        needs[0] === true ? { value: e.reshapeLike(multiplyTransposed(e, scaled(matrix), read), x) } : undefined,
        needs[1] === true ? { value: back(scaled(rowProducts(e, read, rows))) } : undefined,
        needs[2] === true ? biasGradient(e, gradient!, y) : undefined,
      ];
    },
  });
  return y;
}
