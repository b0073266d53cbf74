import { angleOf, type Kernel, lens, type Risk, type Student } from './kernel.js';
import { normalCdf, normalDensity, normalProbability } from './normal.js';
import { gaussLegendre } from './quadrature.js';

/** σ(x) = quadratic·x² + slope·x + offset up to the next break. */
export interface Piece {
  readonly quadratic: number;
  readonly slope: number;
  readonly offset: number;
}

/** A continuous function of breaks.length + 1 pieces; the breaks increase, the first piece is a straight line. */
export interface PiecewiseFunction {
  readonly breaks: readonly number[];
  readonly pieces: readonly Piece[];
}

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
export function piecewiseKernel(f: PiecewiseFunction): Kernel {
  const value = (x: number): number => polynomial(pieceAt(f, x), x);
  const jumps = f.breaks.map((at, j) => {
    const [before, after] = [f.pieces[j]!, f.pieces[j + 1]!];
    const steps = 2 * (after.quadratic - before.quadratic);
    return { at, kink: after.slope - before.slope + steps * at, step: steps };
  });
  return {
    value,
    secondMoment: (scale) => alongLine(f, scale, 0, 0).second,
    teacher: (alpha) => ({ alpha, risk: (student) => risk(f, jumps, alpha, student) }),
  };
}

interface Jump {
  readonly at: number;
  /** Of σ'. */
  readonly kink: number;
  /** Of σ''. */
  readonly step: number;
}

/** Stands for a norm of zero: far below every scale, and its inverse far from overflow. */
const tiny = 1e-60;

function risk(f: PiecewiseFunction, jumps: readonly Jump[], teacherNorm: number, student: Student): Risk {
  const alpha = Math.max(teacherNorm, tiny);
  const beta = Math.max(student.beta, tiny);
  const { theta, sin, cos } = angleOf(student);
  const line = alongLine(f, alpha, beta, student.difference);
  const reach = (alpha * beta * student.chordSquared) / 2; // αβ − C
  const integral = { first: 0, second: 0, secondByNorm: 0 };
  for (const a of jumps) for (const b of jumps) addPair(integral, a, b, alpha, beta, theta, sin, cos);
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

const panelRule = gaussLegendre(14);
const firstRule = gaussLegendre(5);

/** ∫ E[σ''(a)σ''(b)]_c dc and ∫ (c − C)E[σ''σ''] dc, C to αβ, with the latter's ∂/∂β at constant θ. */
interface PairIntegral {
  first: number;
  second: number;
  secondByNorm: number;
}

/** Adds the part of break `a` of the teacher and break `b` of the student. */
function addPair(
  integral: PairIntegral,
  a: Jump,
  b: Jump,
  alpha: number,
  beta: number,
  theta: number,
  sin: number,
  cos: number,
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
  // Jump against step: the density of the break, the probability of the other side.
  const densityA = a.kink * b.step * normalDensity(x) * beta;
  const densityB = b.kink * a.step * normalDensity(y) * alpha;
  const end = Math.sin(theta / 2);
  forPanels(Math.abs(x - y), Math.abs(x + y), theta, isMixed, (from, to) => {
    const rule = from === 0 && isMixed && to < theta && to < Math.PI / 2 ? firstRule : panelRule;
    for (let i = 0; i < rule.nodes.length; i++) {
      const psi = from + (to - from) * rule.nodes[i]!;
      const weight = (to - from) * rule.weights[i]!;
      const half = Math.sin(psi / 2);
      const c = 1 - 2 * half * half;
      const s = 2 * half * Math.cos(psi / 2);
      // (c − C)/(αβ) = cos ψ − cos θ
      const rise = 2 * (end * end - half * half);
      const distance = alpha * beta * rise;
      // Q/(2 sin²ψ) with Q = x² − 2xy cos ψ + y²; written for ψ near 0 and near π.
      const slack = c >= 0 ? (x - y) / s : (x + y) / s;
      const exponent = 0.5 * slack * slack + (c >= 0 ? (x * y) / (1 + c) : (-x * y) / (1 - c));
      const density = (weight * Math.exp(-exponent)) / (2 * Math.PI);
      const factor = kinks * distance - (steps * distance * distance) / 2;
      integral.first += density * (kinks - steps * distance);
      integral.second += density * factor;
      // ∂(exponent)/∂y = (y − x cos ψ)/sin²ψ, ∂y/∂β = −y/β, ∂distance/∂β = distance/β
      const pull = c >= 0 ? (y - x) / (s * s) + x / (1 + c) : (y + x) / (s * s) - x / (1 - c);
      integral.secondByNorm += (density * (factor * pull * y + kinks * distance - steps * distance * distance)) / beta;
      if (densityA !== 0) {
        const u = (x * c - y) / s;
        const probability = normalCdf(u);
        const common = weight * s * densityA;
        integral.first += common * probability;
        integral.second += common * distance * probability;
        integral.secondByNorm += (common * distance * (2 * probability + (normalDensity(u) * y) / s)) / beta;
      }
      if (densityB !== 0) {
        const u = (y * c - x) / s;
        const probability = normalCdf(u);
        const common = weight * s * densityB;
        integral.first += common * probability;
        integral.second += common * distance * probability;
        integral.secondByNorm +=
          (common * distance * ((1 + y * y) * probability - (normalDensity(u) * y * c) / s)) / beta;
      }
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

/** Expectations over a = αz, b = βz, and their derivatives in β. */
interface LineMoments {
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

function alongLine(f: PiecewiseFunction, alpha: number, beta: number, difference: number): LineMoments {
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
  for (let k = 0; k < f.breaks.length && beta > 0; k++) {
    const at = f.breaks[k]!;
    const y = at / beta;
    const [before, after] = [f.pieces[k]!, f.pieces[k + 1]!];
    const step = 2 * (after.quadratic - before.quadratic);
    const kink = after.slope - before.slope + step * at;
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

function polynomial({ quadratic, slope, offset }: Piece, x: number): number {
  return (quadratic * x + slope) * x + offset;
}

function slopeOf({ quadratic, slope }: Piece, x: number): number {
  return 2 * quadratic * x + slope;
}

function pieceAt(f: PiecewiseFunction, x: number): Piece {
  let index = 0;
  while (index < f.breaks.length && x > f.breaks[index]!) index++;
  return f.pieces[index]!;
}

/** The pieces below and above x: two only where x is a break. */
function piecesAround(f: PiecewiseFunction, x: number): readonly [Piece, Piece] {
  const index = f.breaks.findIndex((at) => Math.abs(x - at) <= 1e-14 * Math.abs(at));
  if (index < 0) return [pieceAt(f, x), pieceAt(f, x)];
  return [f.pieces[index]!, f.pieces[index + 1]!];
}

/** clip(slope·x + offset, min, max). As ONNX has it, `max` wins where min > max. */
export function clamp(slope: number, offset: number, min: number, max: number): PiecewiseFunction {
  const flat = (value: number): Piece => ({ quadratic: 0, slope: 0, offset: value });
  const line: Piece = { quadratic: 0, slope, offset };
  if (min >= max) return { breaks: [], pieces: [flat(max)] };
  if (slope === 0) return { breaks: [], pieces: [flat(Math.min(max, Math.max(min, offset)))] };
  const [left, right] = slope > 0 ? [min, max] : [max, min];
  const breaks: number[] = [];
  const pieces: Piece[] = [];
  if (Number.isFinite(left)) {
    pieces.push(flat(left));
    breaks.push((left - offset) / slope);
  }
  pieces.push(line);
  if (Number.isFinite(right)) {
    pieces.push(flat(right));
    breaks.push((right - offset) / slope);
  }
  return { breaks, pieces };
}
