import { LowrankError } from '../../errors.js';

/** Most steps of one root: a bracket that is halved alone needs about as many for the last bit. */
const mostSteps = 120;

/**
 * The eigenvalues of diag(d) + rho · z zᵀ for ascending, distinct d, non-zero z and rho > 0: the roots of
 *   f(λ) = 1 / rho + Σᵢ zᵢ² / (dᵢ − λ),
 * one in each gap (d_j, d_{j+1}) and one above the last. Row j of `differences` (stride `stride`) receives dᵢ − λ_j, each
 * to high relative accuracy: λ_j is found as a distance from the nearer pole. Returns the λ_j, ascending.
 *
 * Bunch, Nielsen and Sorensen 1978 (osculating rational interpolation with one pole for each side), with a bracket that
 * is halved where a step leaves it or gains too little; stopping rule of Li 1993 (LAPACK Working Note 89).
 */
export function solveSecular(
  d: Float64Array,
  z: Float64Array,
  rho: number,
  count: number,
  differences: Float64Array,
  stride: number,
): Float64Array {
  const squares = new Float64Array(count);
  for (let i = 0; i < count; i++) squares[i] = z[i]! * z[i]!;
  const poles = new Float64Array(count);
  const roots = new Float64Array(count);
  for (let j = 0; j < count; j++) {
    roots[j] = solveRoot(d, squares, rho, count, j, poles, differences.subarray(j * stride, j * stride + count));
  }
  return roots;
}

/** Root j. `poles` is scratch: the dᵢ as distances from the origin. `delta` receives dᵢ − λ_j. */
function solveRoot(
  d: Float64Array,
  squares: Float64Array,
  rho: number,
  count: number,
  j: number,
  poles: Float64Array,
  delta: Float64Array,
): number {
  const rhoInverse = 1 / rho;
  const isLast = j === count - 1;
  let gap: number;
  if (isLast) {
    let norm = 0;
    for (let i = 0; i < count; i++) norm += squares[i]!;
    gap = rho * norm;
  } else {
    gap = d[j + 1]! - d[j]!;
  }
  // The sign of f in the middle of the gap says which pole is nearer.
  const middle = gap / 2;
  let f = rhoInverse;
  for (let i = 0; i < count; i++) f += squares[i]! / (d[i]! - d[j]! - middle);
  const origin = isLast || f >= 0 ? d[j]! : d[j + 1]!;
  // λ = origin + tau, low < tau < high.
  let low: number;
  let high: number;
  if (isLast) [low, high] = f >= 0 ? [0, middle] : [middle, gap];
  else if (f >= 0) [low, high] = [0, middle];
  else [low, high] = [-middle, 0];
  let tau = isLast && f < 0 ? gap : f >= 0 ? middle : -middle;
  if (count === 1) tau = gap;
  for (let i = 0; i < count; i++) {
    poles[i] = d[i]! - origin;
    delta[i] = poles[i]! - tau;
  }
  if (count === 1) return origin + tau;
  // The two poles of the interpolation, and where the sum is cut between them.
  const right = isLast ? j : j + 1;
  const left = right - 1;
  let previous = Infinity;
  for (let step = 0; step < mostSteps; step++) {
    let psi = 0;
    let dpsi = 0;
    let phi = 0;
    let dphi = 0;
    for (let i = 0; i <= left; i++) {
      const t = 1 / delta[i]!;
      const term = squares[i]! * t;
      psi += term;
      dpsi += term * t;
    }
    for (let i = right; i < count; i++) {
      const t = 1 / delta[i]!;
      const term = squares[i]! * t;
      phi += term;
      dphi += term * t;
    }
    f = rhoInverse + psi + phi;
    const bound = 8 * (Math.abs(psi) + Math.abs(phi)) + rhoInverse + Math.abs(tau) * (dpsi + dphi);
    if (Math.abs(f) <= Number.EPSILON * bound) return origin + tau;
    if (f > 0) high = Math.min(high, tau);
    else low = Math.max(low, tau);
    const dl = delta[left]!;
    const dr = delta[right]!;
    const c = f - dl * dpsi - dr * dphi;
    const a = (dl + dr) * f - dl * dr * (dpsi + dphi);
    const b = dl * dr * f;
    const root = Math.sqrt(Math.max(0, a * a - 4 * b * c));
    let eta: number;
    if (isLast) eta = a >= 0 ? (a + root) / (2 * c) : (2 * b) / (a - root);
    else eta = a <= 0 ? (a - root) / (2 * c) : (2 * b) / (a + root);
    // f grows with λ: a step against its sign is none; Newton's has the right one.
    if (!(f * eta < 0)) eta = -f / (dpsi + dphi);
    let next = tau + eta;
    const isSlow = step > 6 && Math.abs(f) > previous / 4;
    if (!(next > low && next < high) || isSlow) next = low + (high - low) / 2;
    previous = Math.abs(f);
    if (next === tau || next === low || next === high) return origin + tau;
    tau = next;
    for (let i = 0; i < count; i++) delta[i] = poles[i]! - tau;
  }
  throw new LowrankError('NUMERIC', `root ${j} of ${count} of the secular equation did not converge`);
}
