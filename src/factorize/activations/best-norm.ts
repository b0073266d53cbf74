import { studentAt, type Risk, type Teacher } from './kernel.js';

/** The best norm at a cosine, and what is lost there. */
export interface BestNorm {
  readonly beta: number;
  readonly risk: Risk;
  /** ∂²R/∂β² there, as far as the search found it: the start of the next search. */
  readonly curvature: number | undefined;
}

/** Stop where another step would gain less than this part of R. */
const negligible = 1e-8;
const mostSteps = 24;

/**
 * The norm β that minimizes R at the cosine `cosine`: in closed form where the kernel has one, else by the secant method
 * on ∂R/∂β from `start`, never worse than `start` itself. `curvature` is that of a search nearby.
 */
export function findBestNorm(teacher: Teacher, cosine: number, start: number, curvature?: number): BestNorm {
  const { alpha } = teacher;
  const at = (beta: number): BestNorm => ({ beta, risk: teacher.risk(studentAt(alpha, beta, cosine)), curvature });
  if (teacher.bestNorm !== undefined) return at(teacher.bestNorm(cosine));
  let current = at(start);
  let best = current;
  let slope = curvature ?? NaN;
  for (let step = 0; step < mostSteps; step++) {
    const { beta, risk } = current;
    const isConvex = slope > 0;
    if (isConvex && risk.byNorm * risk.byNorm <= 2 * slope * negligible * risk.value) break;
    // Without a curvature a small step finds one; against a negative one only the direction is known.
    const trial = Number.isNaN(slope) ? 0.04 : 0.5;
    const wanted = isConvex ? beta - risk.byNorm / slope : beta * (1 - Math.sign(risk.byNorm) * trial);
    const next = at(Math.min(2.5 * beta, Math.max(0.4 * beta, wanted)));
    if (next.beta === beta) break;
    slope = (next.risk.byNorm - risk.byNorm) / (next.beta - beta);
    current = next;
    if (current.risk.value < best.risk.value) best = current;
  }
  return { ...best, curvature: slope > 0 ? slope : undefined };
}
