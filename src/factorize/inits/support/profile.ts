import { findBestNorm } from '../../activations/best-norm.js';
import type { Kernel, Teacher } from '../../activations/kernel.js';

/** What the neurons of a layer lose in a subspace, each at its best norm. */
export interface Losses {
  /** Σ R. */
  readonly risk: number;
  /** The norm each neuron's approximation should have. */
  readonly norms: Float64Array;
  /** −∂R/∂ρ. */
  readonly gains: Float64Array;
}

/**
 * The loss as a function of the subspace alone. E[σ(a)σ(b)] grows with the cosine, so the best approximation of a neuron
 * within a subspace points along its projection; ρ is the projection's share of its norm, and the best norm is a problem
 * of one variable (ALGORITHMS E.2).
 */
export interface Profile {
  /** E‖σ(Wx)‖². */
  readonly scale: number;
  /** |w| of each neuron. */
  readonly norms: Float64Array;
  /** From |projection|² of each neuron. */
  evaluate(energies: Float64Array): Losses;
}

/** `energies` are the |w|² of the neurons. */
export function createProfile(kernel: Kernel, energies: Float64Array): Profile {
  const norms = energies.map(Math.sqrt);
  const teachers: Teacher[] = Array.from(norms, (alpha) => kernel.teacher(alpha));
  // Where the last search ended: β/α and its curvature.
  const ratios = new Float64Array(norms.length).fill(NaN);
  const curvatures: (number | undefined)[] = Array.from(norms, () => undefined);
  return {
    norms,
    scale: teachers.reduce((sum, { secondMoment }) => sum + secondMoment, 0),
    evaluate: (projected) => {
      let risk = 0;
      const best = new Float64Array(norms.length);
      const gains = new Float64Array(norms.length);
      for (let i = 0; i < norms.length; i++) {
        const alpha = norms[i]!;
        if (alpha === 0) continue;
        const cosine = Math.min(1, Math.sqrt(projected[i]!) / alpha);
        const start = Number.isNaN(ratios[i]!) ? Math.max(cosine, 0.1) : ratios[i]!;
        const found = findBestNorm(teachers[i]!, cosine, start * alpha, curvatures[i]);
        ratios[i] = found.beta / alpha;
        curvatures[i] = found.curvature;
        risk += found.risk.value;
        best[i] = found.beta;
        gains[i] = Math.max(0, -found.risk.byCosine);
      }
      return { risk, norms: best, gains };
    },
  };
}
