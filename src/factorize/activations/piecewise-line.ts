import { normalDensity, normalProbability } from './normal.js';
import { jumpsOf, pieceAt, type PiecewiseFunction, piecesAround, slopeOf } from './piecewise-function.js';
import { gaussLegendre } from './quadrature.js';

/** Expectations over a = αz, b = βz, and their derivatives in β. */
export interface LineMoments {
  /** E σ(αz)². */
  readonly second: number;
  /** E(σ(αz) − σ(βz))². */
  readonly risk: number;
  readonly riskByNorm: number;
  /** E[σ'(αz)σ'(βz)]. */
  readonly slopes: number;
  readonly slopesByNorm: number;
  /** E[σ''(αz)σ''(βz)], without the jumps of σ'. */
  readonly curvature: number;
  readonly curvatureByNorm: number;
}

const narrowRule = gaussLegendre(8);

/** All of them at once. `difference` is β − α. */
export function alongLine(f: PiecewiseFunction, alpha: number, beta: number, difference: number): LineMoments {
  const cuts = [-Infinity, Infinity];
  for (const at of f.breaks) {
    if (alpha > 0) cuts.push(at / alpha);
    if (beta > 0) cuts.push(at / beta);
  }
  cuts.sort((p, q) => p - q);
  let second = 0;
  let loss = 0;
  let lossByNorm = 0;
  let slopes = 0;
  let slopesByNorm = 0;
  let curvature = 0;
  let curvatureByNorm = 0;
  for (let i = 0; i + 1 < cuts.length; i++) {
    const from = cuts[i]!;
    const to = cuts[i + 1]!;
    if (!(to > from) || from > 38 || to < -38) continue;
    const z = from === -Infinity ? (to === Infinity ? 0 : to - 1) : to === Infinity ? from + 1 : (from + to) / 2;
    const p = pieceAt(f, alpha * z);
    const q = pieceAt(f, beta * z);
    const moments = to - from < 0.5 ? narrowMoments(from, to) : wideMoments(from, to);
    second += squareOf(p.quadratic * alpha * alpha, p.slope * alpha, p.offset, moments);
    // σ(βz) − σ(αz) = d2·z² + d1·z + d0
    const same = p === q;
    const d2 = same
      ? p.quadratic * difference * (alpha + beta)
      : q.quadratic * beta * beta - p.quadratic * alpha * alpha;
    const d1 = same ? p.slope * difference : q.slope * beta - p.slope * alpha;
    const d0 = q.offset - p.offset;
    const isNarrow = to - from < 0.5;
    loss += isNarrow ? squareByRule(d2, d1, d0, from, to) : squareOf(d2, d1, d0, moments);
    // 2(σ(βz) − σ(αz))·z·σ'(βz)
    const [m0, m1, m2, m3, m4] = moments;
    const g1 = q.slope;
    const g2 = 2 * q.quadratic * beta;
    lossByNorm += 2 * (d0 * (g1 * m1 + g2 * m2) + d1 * (g1 * m2 + g2 * m3) + d2 * (g1 * m3 + g2 * m4));
    const a1 = 2 * p.quadratic * alpha;
    slopes += p.slope * g1 * m0 + (p.slope * g2 + a1 * g1) * m1 + a1 * g2 * m2;
    slopesByNorm += 2 * q.quadratic * (p.slope * m1 + a1 * m2);
    curvature += 4 * p.quadratic * q.quadratic * m0;
  }
  // Where β moves the student's breaks.
  for (const { at, kink, step } of beta > 0 ? jumpsOf(f) : []) {
    const y = at / beta;
    const [low, high] = piecesAround(f, alpha * y);
    const move = (normalDensity(y) * y) / beta;
    slopesByNorm += (kink * move * (slopeOf(low, alpha * y) + slopeOf(high, alpha * y))) / 2;
    curvatureByNorm += step * move * (low.quadratic + high.quadratic);
  }
  return { second, risk: loss, riskByNorm: lossByNorm, slopes, slopesByNorm, curvature, curvatureByNorm };
}

type Moments = readonly [m0: number, m1: number, m2: number, m3: number, m4: number];

/** E[zⁿ; from < z < to], n = 0 … 4, by the recurrence mₙ = (n − 1)mₙ₋₂ + fromⁿ⁻¹φ(from) − toⁿ⁻¹φ(to). */
function wideMoments(from: number, to: number): Moments {
  const low = Math.max(from, -40);
  const high = Math.min(to, 40);
  const a = normalDensity(low);
  const b = normalDensity(high);
  const m0 = normalProbability(low, high);
  const m1 = a - b;
  const m2 = m0 + low * a - high * b;
  const m3 = 2 * m1 + low * low * a - high * high * b;
  const m4 = 3 * m2 + low ** 3 * a - high ** 3 * b;
  return [m0, m1, m2, m3, m4];
}

function narrowMoments(from: number, to: number): Moments {
  let [m0, m1, m2, m3, m4] = [0, 0, 0, 0, 0];
  for (let i = 0; i < narrowRule.nodes.length; i++) {
    const z = from + (to - from) * narrowRule.nodes[i]!;
    const weight = (to - from) * narrowRule.weights[i]! * normalDensity(z);
    m0 += weight;
    m1 += weight * z;
    m2 += weight * z * z;
    m3 += weight * z ** 3;
    m4 += weight * z ** 4;
  }
  return [m0, m1, m2, m3, m4];
}

/** E[(c2·z² + c1·z + c0)²] from the moments of an interval. */
function squareOf(c2: number, c1: number, c0: number, [m0, m1, m2, m3, m4]: Moments): number {
  return c0 * c0 * m0 + 2 * c0 * c1 * m1 + (c1 * c1 + 2 * c0 * c2) * m2 + 2 * c1 * c2 * m3 + c2 * c2 * m4;
}

/** The same where the polynomial may vanish inside the interval: a sum of squares. */
function squareByRule(c2: number, c1: number, c0: number, from: number, to: number): number {
  let sum = 0;
  for (let i = 0; i < narrowRule.nodes.length; i++) {
    const z = from + (to - from) * narrowRule.nodes[i]!;
    const value = (c2 * z + c1) * z + c0;
    sum += (to - from) * narrowRule.weights[i]! * normalDensity(z) * value * value;
  }
  return sum;
}
