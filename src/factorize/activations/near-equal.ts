import { angleOf, type Student } from './kernel.js';
import { normalDensity } from './normal.js';
import { gaussHermite5 } from './quadrature.js';

/**
 * R = E(σ(b) − σ(a))² for v close to w, as the average of squares that it is: closed forms would take the difference of
 * two nearly equal numbers. Trapezoidal rule along w (for a function that is analytic in a strip of half-width π, the
 * error falls as e^{−2π²/(αh)}; h = 0.8/max(1, α) leaves 1e-10), five Gauss–Hermite points across, where σ is nearly
 * straight because the angle is small.
 */
export function nearEqualRisk(value: (x: number) => number, alpha: number, student: Student): number {
  const { cos, sin } = angleOf(student);
  const { beta } = student;
  const step = 0.8 / Math.max(1, alpha, beta);
  const count = Math.ceil(8.5 / step);
  let sum = 0;
  for (let i = -count; i <= count; i++) {
    const z = i * step;
    const a = value(alpha * z);
    let inner = 0;
    for (const [y, weight] of gaussHermite5) {
      const difference = value(beta * (cos * z + sin * y)) - a;
      inner += weight * difference * difference;
    }
    sum += normalDensity(z) * inner;
  }
  return step * sum;
}
