import { angleOf, type Kernel, type Precision, type Risk, type Student } from './kernel.js';
import { overAngle } from './piecewise-angle.js';
import { type Jump, jumpsOf, pieceAt, type PiecewiseFunction, valueOf } from './piecewise-function.js';
import { alongLine } from './piecewise-line.js';

/**
 * Piecewise polynomial activations, exactly. By Price's theorem ∂E[σ(a)σ(b)]/∂C = E[σ'(a)σ'(b)], C = αβ cos θ, and once
 * more with σ''. Integrated twice from C = αβ, where v points along w,
 *
 *   R = E(σ(αz) − σ(βz))² + 2(αβ − C)·E[σ'(αz)σ'(βz)] − 2∫ (c − C)·E[σ''(a)σ''(b)]_c dc   (c from C to αβ),
 *
 * in which nothing cancels as v approaches w. σ'' is a jump of σ' at each break plus a step function: its expectation is
 * a sum over pairs of breaks of the bivariate normal density (for two jumps), of conditional probabilities (a jump and a
 * step), and of the density integrated once more (two steps). With c = αβ cos ψ the integrals run over ψ ∈ [0, θ].
 */
export function piecewiseKernel(f: PiecewiseFunction, precision: Precision = 'fine'): Kernel {
  const value = (x: number): number => valueOf(pieceAt(f, x), x);
  const jumps = jumpsOf(f);
  return {
    value,
    secondMoment: (scale) => alongLine(f, scale, 0, 0).second,
    teacher: (alpha) => ({
      alpha,
      secondMoment: alongLine(f, alpha, 0, 0).second,
      risk: (student) => risk(f, jumps, alpha, student, precision),
    }),
  };
}

/** Stands for a norm of zero: far below every scale, and its inverse far from overflow. */
const tiny = 1e-60;

function risk(
  f: PiecewiseFunction,
  jumps: readonly Jump[],
  teacherNorm: number,
  student: Student,
  precision: Precision,
): Risk {
  const alpha = Math.max(teacherNorm, tiny);
  const beta = Math.max(student.beta, tiny);
  const { theta, sin, cos } = angleOf(student);
  const line = alongLine(f, alpha, beta, student.difference);
  const reach = (alpha * beta * student.chordSquared) / 2; // αβ − C
  const integral = overAngle(jumps, { alpha, beta, theta, sin, cos }, precision);
  const first = integral.first + reach * line.curvature;
  const second = integral.second + (reach * reach * line.curvature) / 2;
  const secondByNorm =
    integral.secondByNorm + ((reach * reach) / beta) * line.curvature + (reach * reach * line.curvatureByNorm) / 2;
  return {
    value: Math.max(0, line.risk + 2 * (reach * line.slopes - second)),
    byNorm: line.riskByNorm + 2 * ((reach / beta) * line.slopes + reach * line.slopesByNorm - secondByNorm),
    byCosine: -2 * alpha * beta * (line.slopes - first),
  };
}
