/**
 * The expectations that a neuron's loss is made of. With x ~ N(0, I), a = ⟨w, x⟩ and b = ⟨v, x⟩ are jointly normal with
 * standard deviations α = |w| and β = |v| and correlation ρ = cos θ; everything depends on these three numbers alone.
 */
export interface Kernel {
  /** σ(x). */
  value(x: number): number;
  /** E σ(s·z)², z ~ N(0, 1), s ≥ 0. */
  secondMoment(scale: number): number;
  /** The losses of approximations of a neuron with |w| = alpha ≥ 0. */
  teacher(alpha: number): Teacher;
}

/**
 * fine: R to 1e-7 of itself. coarse: to 1e-4, its derivatives likewise, at a third of the cost: for optimization, whose
 * result is then judged by the fine one. Closed forms without quadrature or series are the same in both.
 */
export type Precision = 'fine' | 'coarse';

/** What approximations of one neuron lose. */
export interface Teacher {
  readonly alpha: number;
  /** E σ(a)². */
  readonly secondMoment: number;
  /** R = E(σ(b) − σ(a))², without cancellation where v is close to w. */
  risk(student: Student): Risk;
  /** The norm β that makes R smallest for approximations at the cosine ρ ≥ 0; only where a closed form exists. */
  bestNorm?(cosine: number): number;
}

/** An approximation v of w. */
export interface Student {
  /** |v|. */
  readonly beta: number;
  /** β − α; given apart because it may be known to more digits than β. */
  readonly difference: number;
  /** |v/β − w/α|², from 0 to 4: 2(1 − ρ). 2 where one of both is zero. */
  readonly chordSquared: number;
}

/** R and its partial derivatives. */
export interface Risk {
  readonly value: number;
  /** ∂R/∂β at constant ρ. */
  readonly byNorm: number;
  /** ∂R/∂ρ at constant β. */
  readonly byCosine: number;
}

/** The student at a norm and a cosine. */
export function studentAt(alpha: number, beta: number, cosine: number): Student {
  return { beta, difference: beta - alpha, chordSquared: 2 * (1 - Math.min(1, Math.max(-1, cosine))) };
}

/** θ, its cosine and sine, accurate near θ = 0: sin²θ = c(1 − c/4) with c = |v/β − w/α|². */
export function angleOf({ chordSquared }: Student): {
  readonly theta: number;
  readonly cos: number;
  readonly sin: number;
} {
  const c = Math.min(4, Math.max(0, chordSquared));
  const sin = Math.sqrt(c * (1 - c / 4));
  const cos = 1 - c / 2;
  return { theta: Math.atan2(sin, cos), cos, sin };
}

/** sin θ − θ cos θ, by its series near 0. */
export function lens(theta: number, sin: number, cos: number): number {
  if (theta > 0.2) return sin - theta * cos;
  const t = theta * theta;
  return ((theta * t) / 3) * (1 - (t / 10) * (1 - (t / 28) * (1 - (t / 54) * (1 - t / 88))));
}
