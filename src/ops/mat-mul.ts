import type { Value } from '../graph/value.js';
import type { Emitter } from './emitter.js';
import { rule } from './gradient.js';
import type { Operator, TensorType } from './operator.js';
import { input, known } from './support/known.js';
import { sizeOf } from './support/layout.js';
import { matmulDims } from './support/matmul.js';

/** Every element of y is a sum over the inner size K, a's last dimension: size(y) · K. */
export function matmulMacs(a: TensorType | undefined, y: TensorType | undefined): number {
  return a === undefined || y === undefined ? 0 : sizeOf(y.dims) * (a.dims.at(-1) ?? 1);
}

/** The last two axes exchanged. */
function transposeLast(e: Emitter, x: Value): Value {
  const rank = e.rank(x);
  return e.transpose(x, [...Array.from({ length: rank - 2 }, (_, i) => i), rank - 1, rank - 2]);
}

/** dB = aᵀ·dy for a matrix B: one product over all rows of a, [R, K]ᵀ · [R, N]. */
function matrixGradient(e: Emitter, a: Value, dy: Value): Value {
  const rows = (x: Value): Value => e.reshape(x, [-1, e.dims(x).at(-1)!]);
  return e.gemm(rows(a), rows(dy), { transA: true });
}

/**
 * numpy.matmul (ai.onnx 1, 9, 13). Multiply-accumulates: batch · M · N · K.
 * dA = dy·bᵀ and dB = aᵀ·dy, summed over the axes along which they were broadcast; vectors count as rows and columns.
 */
export const matMul: Operator = {
  opType: 'MatMul',
  domain: '',
  infer: (context) => {
    const a = input(context, 0);
    return [known(a.dataType, matmulDims(a.dims, input(context, 1).dims))];
  },
  macs: (_, inputs, outputs) => matmulMacs(inputs[0], outputs[0]),
  gradient: rule(({ e, inputs: [first, second], gradients: [dy], needs }) => {
    const isRow = e.rank(first!) === 1;
    const isColumn = e.rank(second!) === 1;
    const a = isRow ? e.unsqueeze(first!, [0]) : first!;
    const b = isColumn ? e.unsqueeze(second!, [1]) : second!;
    const withRow = isRow ? e.unsqueeze(dy!, [isColumn ? -1 : -2]) : dy!;
    const dz = isColumn ? e.unsqueeze(withRow, [-1]) : withRow;
    const da = (): Value => {
      const gradient = e.sumTo(e.emit('MatMul', [dz, transposeLast(e, b)]), a);
      return isRow ? e.squeeze(gradient, [0]) : gradient;
    };
    const db = (): Value => {
      const isLinear = e.rank(b) === 2 && e.rank(a) >= 2;
      const gradient = isLinear ? matrixGradient(e, a, dz) : e.sumTo(e.emit('MatMul', [transposeLast(e, a), dz]), b);
      return isColumn ? e.squeeze(gradient, [1]) : gradient;
    };
    return [needs[0] === true ? da() : undefined, needs[1] === true ? db() : undefined];
  }),
};
