import type { TrainedForm } from '../../autodiff/copy-forward.js';
import { float, int } from '../../graph/attributes.js';
import type { Value } from '../../graph/value.js';
import { FLOAT } from '../../onnx/data-type.js';
import { noFlow } from '../../ops/gradient.js';
import { reciprocalDeviation } from '../../ops/support/batch-norm-gradient.js';
import { isHalfType } from '../../ops/precision.js';
import { sizeOf } from '../../ops/support/layout.js';

/** Keeps the deviation of a row without variance above 0. */
const rowEpsilon = 1e-5;

/**
 * BatchNormalization of half-precision x [N, C, …] on the statistics of the batch, without ever writing x in float32. A row is
 * the P positions of one channel of one image. LayerNormalization of the rows gives r = (x − m) / s in half precision, and
 * m and s, [N, C, 1], in float32, from one reading of x. From these few numbers (Chan, Golub and LeVeque, 1983):
 *
 *     mean = avg m,   variance = avg (s² − ε + (m − mean)²),   ρ = 1 / √(variance + ε)
 *     x̂ = (r·s + m − mean)·ρ,   y = scale·x̂ + bias = r·a + b   with a and b [N, C, 1]
 *
 * and back, with the averages of dy and of dy·r over each row, and n = N·P:
 *
 *     μ₁ = Σ dy / n,   μ₂ = Σ dy·x̂ / n = avg (s·avg dy·r + (m − mean)·avg dy)·ρ
 *     dbias = n·μ₁,   dscale = n·μ₂,   dx = scale·ρ·(dy − μ₁ − x̂·μ₂)
 *
 * Averages, not sums: float16 holds them. undefined for x in float32, or without positions.
 */
export const batchNormalizationByRows: TrainedForm = (e, node, [x, scale, bias]) => {
  if (x === undefined || !isHalfType(e.typeOf(x).dataType) || e.rank(x) < 3) return undefined;
  const { dataType: half } = e.typeOf(x);
  const positions = sizeOf(e.dims(x).slice(2));
  const [weight, shift] = [e.wide(scale!), e.wide(bias!)];
  const rows = (value: Value): Value => e.reshape(value, [0, 0, -1]);
  /** [C] or [N, C, 1] → [C, 1] or as it is, in half. */
  const column = (vector: Value): Value => e.reshape(vector, [-1, 1]);
  const narrow = (value: Value): Value => e.cast(value, half);

  const epsilon = { axis: int(-1), epsilon: float(rowEpsilon) };
  const ones = e.floats(new Float32Array(positions).fill(1), [positions], half);
  const asGiven = { asGiven: true, name: node.id };
  const [r, m, reciprocal] = e.emitAll('LayerNormalization', [rows(x), ones], epsilon, { ...asGiven, outputs: 3 });
  const s = e.emit('Reciprocal', [reciprocal]);
  const mean = e.reduceMean(m!, [0, 2], false);
  const off = e.sub(m!, column(mean));
  const within = e.sub(e.mul(s, s), e.scalar(rowEpsilon));
  const variance = e.reduceMean(e.add(within, e.mul(off, off)), [0, 2], false);
  const rho = reciprocalDeviation(e, variance, node.float('epsilon', 1e-5));
  const slope = column(e.mul(weight, rho));
  const a = narrow(e.mul(s, slope));
  const b = narrow(e.add(e.mul(off, slope), column(shift)));
  const y = e.reshapeLike(e.add(e.mul(r!, a), b), x);
  const count = e.count(x, [
    0,
    ...e
      .dims(x)
      .slice(2)
      .map((_, i) => i + 2),
  ]);

  const backward = (dy: Value): readonly Value[] => {
    const g = narrow(rows(dy));
    /** [N, C, 1], in float32; the kernel sums in float32 whatever it is given. */
    const rowMean = (value: Value): Value => e.cast(e.reduceMean(value, [2], true, { asGiven: true }), FLOAT);
    const [dyMean, dyrMean] = [rowMean(g), rowMean(e.mul(g, r!))];
    const first = e.reduceMean(dyMean, [0], false);
    const second = e.mul(e.reduceMean(e.add(e.mul(s, dyrMean), e.mul(off, dyMean)), [0], false), column(rho));
    const perRow = e.neg(e.mul(slope, e.mul(second, column(rho))));
    const factor = narrow(e.mul(perRow, s));
    const term = narrow(e.sub(e.mul(perRow, off), e.mul(slope, first)));
    const dx = e.add(e.add(e.mul(r!, factor), term), e.mul(g, narrow(slope)));
    const vector = (value: Value): Value => e.reshape(e.mul(value, count), [-1]);
    return [
      e.reshapeLike(dx, x),
      e.cast(vector(second), e.typeOf(scale!).dataType),
      e.cast(vector(first), e.typeOf(bias!).dataType),
    ];
  };
  const [, , , runningMean, runningVariance] = node.inputs;
  return {
    outputs: [y],
    statistics: {
      runningMean: runningMean!,
      runningVariance: runningVariance!,
      mean,
      variance,
      count,
      momentum: node.float('momentum', 0.9),
    },
    tape: [
      {
        inputs: [x, scale, bias],
        outputs: [y],
        label: node.label,
        isDifferentiable: true,
        backward: ([dy]) => [...backward(dy!), noFlow, noFlow],
      },
    ],
  };
};
