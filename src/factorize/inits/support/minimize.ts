import { throwIfAborted } from '../../../errors.js';
import type { Linalg, Matrix } from '../../../linalg/types.js';
import { addScaled, dot, inverseCholesky, scaleRows } from './matrix.js';
import { product } from './product.js';
import type { Losses, Profile } from './profile.js';
import { arbitraryDirection, projectedEnergies, type Projection } from './subspace.js';

export interface MinimizeOptions {
  readonly weight: Matrix;
  readonly rowsPerNeuron: number;
  readonly profile: Profile;
  readonly linalg: Linalg;
  readonly seed: number;
  /** Another number, other directions for neurons that are orthogonal to the subspace. Default 0. */
  readonly attempt?: number;
  readonly signal?: AbortSignal | undefined;
  /** Stop where a step promises to lower the loss by less than this part of it. */
  readonly tolerance: number;
  readonly mostSteps: number;
}

export interface Minimum {
  readonly projection: Projection;
  readonly losses: Losses;
  /** Steps taken. */
  readonly steps: number;
}

/** A step turns no direction by more than about this many radians: the nearest minimum is wanted. */
const largestTurn = 0.5;

/** Pairs of differences that the quasi-Newton step remembers. */
const memory = 5;

/**
 * Lowers the loss over all subspaces of dimension r, from a start. With orthonormal rows Q and X = W·Qᵀ the loss is a
 * function of the |xᵢ| alone (see Profile), its gradient (I − QᵀQ)-projected:
 *
 *   ∇ = YᵀW − (YᵀX)Q,   yᵢ = −(gainᵢ/αᵢ)·xᵢ/|xᵢ|,
 *
 * two products of rows × cols × r a step: YᵀW, and W·Zᵀ for the step Z, from which X follows linearly. L-BFGS, scaled at
 * first by the curvature that principal components would have, λₖ − (mean of the rest); the step Q + tZ is made orthonormal
 * by Cholesky's factor of I + t²ZZᵀ. Measured on trained layers, the first step takes 60 to 90 % of what there is to gain.
 */
export async function minimizeSubspace(
  start: Projection,
  startLosses: Losses,
  options: MinimizeOptions,
): Promise<Minimum> {
  const { linalg, profile, rowsPerNeuron, tolerance, mostSteps, weight } = options;
  let { coordinates, basis } = start;
  let losses = startLosses;
  let last: { readonly step: Matrix; readonly gradient: Matrix } | undefined;
  const history: Difference[] = [];
  for (let steps = 0; ; steps++) {
    const done = { projection: { coordinates, basis }, losses, steps };
    if (steps >= mostSteps) return done;
    throwIfAborted(options.signal);
    const energies = projectedEnergies(coordinates, rowsPerNeuron, profile.norms);
    const slope = coordinateGradient(coordinates, energies, losses, options);
    const inner = await product(linalg, slope, coordinates, { transposeA: true });
    const outer = await product(linalg, slope, weight, { transposeA: true });
    const gradient = addScaled(outer, -1, await product(linalg, inner, basis), outer.data);
    const scales = inverseCurvatures(inner, energies, losses, options);
    if (promisedDecrease(gradient, scales) <= tolerance * losses.risk) return done;
    if (last !== undefined) {
      remember(history, last.step, addScaled(gradient, -1, last.gradient, last.gradient.data));
    }

    let step = await horizontal(quasiNewtonStep(gradient, scales, history), basis, linalg);
    let descent = dot(gradient.data, step.data);
    if (descent >= 0) {
      history.length = 0;
      step = quasiNewtonStep(gradient, scales, history);
      descent = dot(gradient.data, step.data);
    }
    const moved = await product(linalg, weight, step, { transposeB: true });
    const gram = await product(linalg, step, step, { transposeB: true });
    let length = Math.min(1, largestTurn / Math.sqrt(largestDiagonal(gram)));
    let next: Projection | undefined;
    let nextLosses = losses;
    for (; length > 1e-4; length *= 0.4) {
      const unmix = inverseCholesky(identityPlus(gram, length * length));
      const nextCoordinates = await product(linalg, addScaled(coordinates, length, moved), unmix, { transposeB: true });
      nextLosses = profile.evaluate(projectedEnergies(nextCoordinates, rowsPerNeuron, profile.norms));
      if (nextLosses.risk <= losses.risk + 1e-4 * length * descent) {
        const mixed = addScaled(basis, length, step);
        next = { coordinates: nextCoordinates, basis: await product(linalg, unmix, mixed) };
        break;
      }
    }
    if (next === undefined) return done;
    last = { step: scale(step, length), gradient };
    ({ coordinates, basis } = next);
    losses = nextLosses;
  }
}

/** ∂R/∂X. A neuron orthogonal to the subspace has a gradient in every direction: any one will do. */
function coordinateGradient(
  coordinates: Matrix,
  energies: Float64Array,
  losses: Losses,
  { profile, rowsPerNeuron, seed, attempt }: MinimizeOptions,
): Matrix {
  const size = rowsPerNeuron * coordinates.cols;
  const slopes = profile.norms.map((alpha, i) => (alpha > 0 ? -losses.gains[i]! / alpha : 0));
  const gradient = scaleRows(
    coordinates,
    slopes.map((slope, i) => (energies[i]! > 0 ? slope / Math.sqrt(energies[i]!) : 0)),
    rowsPerNeuron,
  );
  slopes.forEach((slope, i) => {
    if (energies[i]! > 0 || slope === 0) return;
    gradient.data.set(
      arbitraryDirection(size, seed, i, attempt).map((x) => x * slope),
      i * size,
    );
  });
  return gradient;
}

/** Cosines below this count as this where they divide. */
const smallestCosine = 0.05;

/**
 * 1/(λₖ − λ̄): λₖ is what direction k of the subspace holds of the energy, weighted as the loss weighs it, and λ̄ the mean
 * of the directions outside.
 */
function inverseCurvatures(
  inner: Matrix,
  energies: Float64Array,
  losses: Losses,
  { profile, weight }: MinimizeOptions,
): Float64Array {
  const rank = inner.rows;
  const held = Float64Array.from({ length: rank }, (_, k) => -inner.data[k * rank + k]!);
  const inside = held.reduce((sum, value) => sum + value, 0);
  let total = 0;
  profile.norms.forEach((alpha, i) => {
    if (alpha > 0) total += losses.gains[i]! / Math.max(smallestCosine, Math.sqrt(energies[i]!) / alpha);
  });
  const outside = Math.max(0, total - inside) / Math.max(1, Math.min(weight.rows, weight.cols) - rank);
  const largest = held.reduce((most, value) => Math.max(most, value), 0);
  return held.map((value) => 1 / Math.max(value - outside, 0.05 * value, 1e-6 * largest, 1e-300));
}

/** ½⟨∇, H⁻¹∇⟩: what a step to the minimum of the quadratic model gains. */
function promisedDecrease(gradient: Matrix, scales: Float64Array): number {
  let sum = 0;
  for (let row = 0, at = 0; row < gradient.rows; row++) {
    let norm = 0;
    for (let col = 0; col < gradient.cols; col++, at++) norm += gradient.data[at]! * gradient.data[at]!;
    sum += norm * scales[row]!;
  }
  return sum / 2;
}

/** A step and the change of the gradient over it. */
interface Difference {
  readonly step: Matrix;
  readonly change: Matrix;
  /** ⟨step, change⟩. */
  readonly curvature: number;
}

/** Keeps the pair where the curvature along it is positive. */
function remember(history: Difference[], step: Matrix, change: Matrix): void {
  const curvature = dot(step.data, change.data);
  if (!(curvature > 1e-10 * Math.sqrt(dot(step.data, step.data) * dot(change.data, change.data)))) return;
  history.push({ step, change, curvature });
  if (history.length > memory) history.shift();
}

/** −H⁻¹∇ by the two-loop recursion (Nocedal and Wright, algorithm 7.4), the start being diag(scales). */
function quasiNewtonStep(gradient: Matrix, scales: Float64Array, history: readonly Difference[]): Matrix {
  const direction = { ...gradient, data: gradient.data.slice() };
  const weights: number[] = [];
  for (const { step, change, curvature } of [...history].reverse()) {
    const weight = dot(step.data, direction.data) / curvature;
    weights.push(weight);
    addScaled(direction, -weight, change, direction.data);
  }
  scaleRows(direction, scales, 1, direction.data);
  for (const { step, change, curvature } of history) {
    const weight = weights.pop()! - dot(change.data, direction.data) / curvature;
    addScaled(direction, weight, step, direction.data);
  }
  return scale(direction, -1);
}

/** The part of `step` that leaves the subspace: step − (step·Qᵀ)Q, in the memory of `step`. */
async function horizontal(step: Matrix, basis: Matrix, linalg: Linalg): Promise<Matrix> {
  const inside = await product(linalg, step, basis, { transposeB: true });
  return addScaled(step, -1, await product(linalg, inside, basis), step.data);
}

/** factor·a, in the memory of `a`. */
function scale(a: Matrix, factor: number): Matrix {
  for (let i = 0; i < a.data.length; i++) a.data[i] = a.data[i]! * factor;
  return a;
}

function largestDiagonal(a: Matrix): number {
  let largest = 0;
  for (let i = 0; i < a.rows; i++) largest = Math.max(largest, a.data[i * (a.cols + 1)]!);
  return largest;
}

/** I + scale·a. */
function identityPlus(a: Matrix, scale: number): Matrix {
  const data = a.data.map((x) => x * scale);
  for (let i = 0; i < a.rows; i++) data[i * a.cols + i]! += 1;
  return { rows: a.rows, cols: a.cols, data };
}
