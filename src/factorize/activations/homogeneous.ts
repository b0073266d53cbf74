import { angleOf, lens, type Kernel, type Student } from './kernel.js';

/**
 * σ(x) = x for x > 0 and s·x for x < 0: linear (s = 1), ReLU (s = 0), LeakyReLU. With h = (1 + s²)/2 and g = (1 − s)²,
 *
 *   R = h(β − α)² + αβ[2h(1 − cos θ) − g(sin θ − θ cos θ)/π],
 *
 * which for ReLU is the first-order arc-cosine kernel (Cho and Saul, 2009): R = α²/2 + β²/2 − αβκ(ρ), with κ(ρ) =
 * (sin θ + (π − θ)cos θ)/π. Written as a sum of differences, it loses no digits where v is close to w.
 */
export function homogeneousKernel(negativeSlope: number): Kernel {
  const h = (1 + negativeSlope * negativeSlope) / 2;
  const g = (1 - negativeSlope) ** 2;
  /** 2h·(1 − κ(ρ)), and its derivative in ρ. */
  const loss = (student: Student): readonly [value: number, byCosine: number] => {
    const { theta, sin, cos } = angleOf(student);
    return [h * student.chordSquared - (g * lens(theta, sin, cos)) / Math.PI, -2 * h + (g * theta) / Math.PI];
  };
  return {
    value: (x) => (x > 0 ? x : negativeSlope * x),
    secondMoment: (scale) => h * scale * scale,
    teacher: (alpha) => ({
      alpha,
      secondMoment: h * alpha * alpha,
      risk: (student) => {
        const { beta, difference } = student;
        const [angular, byCosine] = loss(student);
        return {
          value: h * difference * difference + alpha * beta * angular,
          byNorm: 2 * h * difference + alpha * angular,
          byCosine: alpha * beta * byCosine,
        };
      },
      bestNorm: (cosine) => {
        const [angular] = loss({ beta: alpha, difference: 0, chordSquared: 2 * (1 - Math.min(1, cosine)) });
        return Math.max(0, alpha * (1 - angular / (2 * h)));
      },
    }),
  };
}
