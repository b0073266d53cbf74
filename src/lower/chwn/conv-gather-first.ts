import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import { sizeOf } from '../../ops/support/layout.js';
import { biasGradient, type DenseConv, scaledRows, withBias } from './conv-parts.js';
import { gatherSum, gatherTaps } from './gather.js';
import { expanded } from './gradient.js';
import type { LowerContext } from './rule.js';
import { adjointTable, isPointwise, windowTable } from './window.js';

/**
 * Y = W [O, I·k] · H, H [I·k, M] what every tap of every window reads. Back: dW = dY Hᵀ, dH = Wᵀ dY, and dX gathers and
 * adds what the taps of dH hold of each element. A scale of dY goes into the rows of dW and W.
 */
export function gatherFirst(context: LowerContext, conv: DenseConv): Value {
  const { e } = context;
  const { x, weight, bias, geometry, label } = conv;
  const [channels, batch] = [e.dims(x)[0]!, e.dims(x).at(-1)!];
  const outputs = e.dims(weight)[0]!;
  const isView = isPointwise(geometry);
  const [from, to] = [sizeOf(geometry.from), sizeOf(geometry.to)];
  const taken = isView ? x : gatherTaps(e, e.reshape(x, [channels, from, batch]), windowTable(geometry));
  const rows = e.reshape(taken, [channels * geometry.taps, to * batch]);
  const matrix = e.reshape(weight, [outputs, channels * geometry.taps]);
  const product = e.emit('MatMul', [matrix, rows]);
  const y = withBias(e, e.reshape(product, [outputs, ...geometry.to, batch]), bias);
  context.record({
    inputs: [x, weight, bias],
    outputs: [y],
    label,
    backward: ([gradient], needs) => {
      const dy = e.reshape(expanded(e, gradient!, y), [outputs, to * batch]);
      const { scale } = gradient!;
      const dw = needs[1] === true ? scaledRows(e, e.gemm(dy, rows, { transB: true }), scale) : undefined;
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

/** `matrix` [O, I·k] is the weight with the scale of `dy` [O, M]. */
function inputGradient(e: Emitter, { x, geometry }: DenseConv, matrix: Value, dy: Value): Value {
  if (isPointwise(geometry)) return e.gemm(matrix, dy, { transA: true });
  const [channels, batch] = [e.dims(x)[0]!, e.dims(x).at(-1)!];
  const table = adjointTable(geometry);
  // One column of zeros more gives the row of zeros that padding reads.
  const columns = table.hasPadding ? e.pad(matrix, [0, 0, 0, 1]) : matrix;
  const taps = e.gemm(columns, dy, { transA: true });
  return gatherSum(e, e.reshape(taps, [e.dims(taps)[0]!, table.from, batch]), channels, table);
}
