import { lens, type Precision } from './kernel.js';
import { inverseSqrt2Pi, normalCdfFrom, normalDensity } from './normal.js';
import type { Jump } from './piecewise-function.js';
import { gaussLegendre, type Rule } from './quadrature.js';

/** Points of a panel, and of the one before the density begins. */
interface PanelRules {
  readonly panel: Rule;
  readonly first: Rule;
}

const rules: Readonly<Record<Precision, PanelRules>> = {
  fine: { panel: gaussLegendre(14), first: gaussLegendre(5) },
  coarse: { panel: gaussLegendre(6), first: gaussLegendre(3) },
};

/** Where the integrals are taken. */
export interface Place {
  readonly alpha: number;
  readonly beta: number;
  readonly theta: number;
  readonly cos: number;
  readonly sin: number;
}

/** ∫ E[σ''(a)σ''(b)]_c dc and ∫ (c − C)E[σ''σ''] dc, C to αβ, with the latter's ∂/∂β at constant θ. */
export interface PairIntegral {
  first: number;
  second: number;
  secondByNorm: number;
}

/** The sums over all pairs of breaks, one of the teacher and one of the student. */
export function overAngle(jumps: readonly Jump[], place: Place, precision: Precision): PairIntegral {
  const integral = { first: 0, second: 0, secondByNorm: 0 };
  for (const a of jumps) for (const b of jumps) addPair(integral, a, b, place, rules[precision]);
  return integral;
}

/** Adds the part of break `a` of the teacher and break `b` of the student. */
function addPair(
  integral: PairIntegral,
  a: Jump,
  b: Jump,
  { alpha, beta, theta, sin, cos }: Place,
  { panel, first }: PanelRules,
): void {
  const x = a.at / alpha;
  const y = b.at / beta;
  const kinks = a.kink * b.kink;
  const steps = a.step * b.step;
  const isMixed = steps !== 0 || a.kink * b.step !== 0 || a.step * b.kink !== 0;
  if (!isMixed) {
    if (kinks === 0) return;
    if (x === 0 && y === 0) {
      const scale = (kinks * alpha * beta) / (2 * Math.PI);
      integral.first += (kinks * theta) / (2 * Math.PI);
      integral.second += scale * lens(theta, sin, cos);
      integral.secondByNorm += (scale / beta) * lens(theta, sin, cos);
      return;
    }
    if (Math.max(x * x, y * y) > 1400) return; // e^{−700}
  }
  // A jump against a step: the density at the break times the probability of the other side. Beyond 37 both vanish.
  const kinkStep = Math.abs(x) < 37 ? a.kink * b.step * beta : 0;
  const stepKink = Math.abs(y) < 37 ? b.kink * a.step * alpha : 0;
  const [densityX, densityY] = [normalDensity(x), normalDensity(y)];
  const end = Math.sin(theta / 2);
  forPanels(Math.abs(x - y), Math.abs(x + y), theta, isMixed, (from, to) => {
    const rule = from === 0 && isMixed && to < theta && to < Math.PI / 2 ? first : panel;
    for (let i = 0; i < rule.nodes.length; i++) {
      const psi = from + (to - from) * rule.nodes[i]!;
      const weight = (to - from) * rule.weights[i]!;
      const half = Math.sin(psi / 2);
      const fall = 2 * half * half;
      const c = 1 - fall;
      const s = 2 * half * Math.cos(psi / 2);
      // c − C = αβ(cos ψ − cos θ)
      const distance = alpha * beta * (2 * end * end - fall);
      // Q/(2 sin²ψ) with Q = x² − 2xy cos ψ + y²; written for ψ near 0 and near π.
      const slack = c >= 0 ? (x - y) / s : (x + y) / s;
      const gaussian = Math.exp(-0.5 * slack * slack - (c >= 0 ? (x * y) / (1 + c) : (-x * y) / (1 - c)));
      const density = (weight * gaussian) / (2 * Math.PI);
      const factor = kinks * distance - (steps * distance * distance) / 2;
      // ∂(Q/(2 sin²ψ))/∂y = (y − x cos ψ)/sin²ψ, ∂y/∂β = −y/β, ∂distance/∂β = distance/β
      const pull = c >= 0 ? (y - x) / (s * s) + x / (1 + c) : (y + x) / (s * s) - x / (1 - c);
      let value = density * (kinks - steps * distance);
      let second = density * factor;
      let byNorm = density * (factor * pull * y + kinks * distance - steps * distance * distance);
      // With u = (x cos ψ − y)/sin ψ, φ(x)φ(u) is the bivariate density: its exponential serves Φ(u) and φ(u).
      if (kinkStep !== 0) {
        const u = (x - y - x * fall) / s;
        const share = weight * s * kinkStep * densityX * normalCdfFrom(u, (gaussian * inverseSqrt2Pi) / densityX);
        value += share;
        second += share * distance;
        byNorm += distance * (2 * share + density * kinkStep * y);
      }
      if (stepKink !== 0) {
        const u = (y - x - y * fall) / s;
        const share = weight * s * stepKink * densityY * normalCdfFrom(u, (gaussian * inverseSqrt2Pi) / densityY);
        value += share;
        second += share * distance;
        byNorm += distance * ((1 + y * y) * share - density * stepKink * y * c);
      }
      integral.first += value;
      integral.second += second;
      integral.secondByNorm += byNorm / beta;
    }
  });
}

/**
 * Panels of [0, θ] for integrands that change like e^{−d²/(2ψ²)} near 0 and like e^{−d'²/(2(π−ψ)²)} near π: below d/9 the
 * density is 0 (one panel for steps, where `includeFirst`), then in ratio 3.
 */
function forPanels(
  d: number,
  dAtPi: number,
  theta: number,
  includeFirst: boolean,
  panel: (from: number, to: number) => void,
): void {
  const middle = Math.min(theta, Math.PI / 2);
  let from = 0;
  // A distance far below θ is none: what it changes is of its own size.
  let to = d < 1e-12 * theta ? middle : d / 9;
  for (;;) {
    if (to > 0.7 * middle) to = middle;
    if (to > from && (from > 0 || to === middle || includeFirst)) panel(from, to);
    if (to === middle) break;
    from = to;
    to = from * 3;
  }
  if (theta <= middle) return;
  const stop = Math.PI - theta;
  let high = Math.PI / 2;
  while (high > stop) {
    let low = high / 3;
    if (low < stop || low < dAtPi / 9 || low < 1e-12) low = stop;
    panel(Math.PI - high, Math.PI - low);
    high = low;
  }
}
