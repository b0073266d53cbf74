/** What empirical variational Bayes makes of a matrix: a signal of some rank and noise. */
export interface EvbmfResult {
  /** Singular values that count as signal; 0 where all of the matrix looks like noise. */
  readonly rank: number;
  /** Variance of one element of the noise. */
  readonly noiseVariance: number;
}

/** Float32 weights are rounded to this relative precision: no noise is smaller. */
const roundingUnit = 2 ** -24;
const gridPoints = 400;

/**
 * Rank and noise variance of a fully observed matrix by empirical variational Bayesian matrix factorization, in closed form
 * but for the minimum in one variable: S. Nakajima, M. Sugiyama, S. D. Babacan, R. Tomioka, "Global analytic solution of
 * fully-observed variational Bayesian matrix factorization", JMLR 14 (2013) 1–37, and, for the noise variance and its
 * bounds, S. Nakajima, R. Tomioka, M. Sugiyama, S. D. Babacan, "Condition for perfect dimensionality recovery by
 * variational Bayesian PCA", JMLR 16 (2015) 3757–3811.
 *
 * With L ≤ M the sides, α = L/M, x_h = γ_h²/(Mσ²) and τ(x) = ½(x − (1+α) + sqrt((x − (1+α))² − 4α)), a component has a
 * lower free energy with its singular value than without where x_h is above x̲ = (1 + τ̲)(1 + α/τ̲), Φ(τ̲) + Φ(τ̲/α) = 0,
 * Φ(z) = log(z+1)/z − ½. σ² minimizes the free energy Σ x_h + L·log σ² + Σ_{x_h > x̲} ψ₁(x_h),
 * ψ₁(x) = log(τ+1) + α·log(τ/α + 1) − τ, and up to ⌈L/(1+α)⌉ − 1 components count.
 *
 * `squares`: all min(rows, cols) squared singular values, largest first.
 */
export function evbmf(squares: Float64Array, rows: number, cols: number): EvbmfResult {
  const short = Math.min(rows, cols);
  const long = Math.max(rows, cols);
  const energy = squares.reduce((sum, square) => sum + square, 0);
  if (energy === 0) return { rank: 0, noiseVariance: 0 };
  const alpha = short / long;
  const threshold = evbThreshold(alpha);
  const most = Math.min(short - 1, Math.ceil(short / (1 + alpha)) - 1);
  const tail = squares.subarray(most).reduce((sum, square) => sum + square, 0);
  const upper = energy / (short * long);
  const lower = Math.min(
    upper,
    Math.max((squares[most] ?? 0) / (long * threshold), tail / (long * (short - most)), roundingUnit ** 2 * upper),
  );
  const freeEnergy = (variance: number): number => {
    let sum = energy / (long * variance) + short * Math.log(variance);
    for (const square of squares) {
      const x = square / (long * variance);
      if (x <= threshold) break;
      const tau = tauOf(x, alpha);
      sum += Math.log(tau + 1) + alpha * Math.log(tau / alpha + 1) - tau;
    }
    return sum;
  };
  const noiseVariance = minimizeOnInterval(freeEnergy, lower, upper);
  const noise = squares.findIndex((square) => square <= long * noiseVariance * threshold);
  return { rank: noise === -1 ? squares.length : noise, noiseVariance };
}

function tauOf(x: number, alpha: number): number {
  const shifted = x - (1 + alpha);
  return (shifted + Math.sqrt(Math.max(0, shifted * shifted - 4 * alpha))) / 2;
}

/** x̲ of 0 < α ≤ 1, by bisection: Φ falls, so its sum has one zero. */
export function evbThreshold(alpha: number): number {
  const phi = (z: number): number => Math.log1p(z) / z - 0.5;
  // Φ(2.5129) = 0: both terms are positive at τ = 2.5129·α and negative at 2.5129 and above.
  let low = 2.5 * alpha;
  let high = 2.52;
  for (let step = 0; step < 100; step++) {
    const middle = (low + high) / 2;
    if (phi(middle) + phi(middle / alpha) > 0) low = middle;
    else high = middle;
  }
  const tau = (low + high) / 2;
  return (1 + tau) * (1 + alpha / tau);
}

/** The minimum of a function of a positive variable with several valleys: a logarithmic grid, then golden sections. */
function minimizeOnInterval(value: (x: number) => number, lower: number, upper: number): number {
  if (lower === upper) return lower;
  const step = Math.log(upper / lower) / (gridPoints - 1);
  const at = (index: number): number => lower * Math.exp(step * index);
  let best = 0;
  let least = Infinity;
  for (let index = 0; index < gridPoints; index++) {
    const here = value(at(index));
    if (here >= least) continue;
    least = here;
    best = index;
  }
  const golden = (Math.sqrt(5) - 1) / 2;
  let low = Math.log(at(Math.max(0, best - 1)));
  let high = Math.log(Math.min(upper, at(Math.min(gridPoints - 1, best + 1))));
  for (let turn = 0; turn < 60; turn++) {
    const left = high - golden * (high - low);
    const right = low + golden * (high - low);
    if (value(Math.exp(left)) <= value(Math.exp(right))) high = right;
    else low = left;
  }
  return Math.exp((low + high) / 2);
}
