import type { SpectrumEstimate } from './spectrum-estimate.js';

/** The filter of one round: Chebyshev polynomials on [0, cut], with an orthonormalization after each. */
export interface FilterPlan {
  /** Vectors in the block. */
  readonly size: number;
  /** Upper end of the interval in which the filter stays below 1. */
  readonly cut: number;
  readonly degrees: readonly number[];
}

/**
 * Excess error ‖A − Â‖_F / optimum − 1 to plan for. The prediction below is right to a factor of two; what comes out is
 * estimated afterwards, and another round costs more than a degree too many.
 */
const plannedExcess = 2.5e-5;

/**
 * Growth at the largest eigenvalue that one stage may have. In the first, rounding to float32 (6e-8 of the largest
 * direction) may reach what the filter leaves of the damped ones but not what it makes of the wanted ones. Later stages
 * start from vectors that hold less of the large directions, in proportion, and may grow by that much more.
 */
const firstCap = 1e8;
const laterCap = 1e13;

/** Beyond it the gap at the cut is too small to pay for. */
const mostDegree = 30;
const mostStages = 4;

/** T_d(x) for x ≥ 1. */
function chebyshevGrowth(degree: number, x: number): number {
  return Math.cosh(degree * Math.acosh(Math.max(1, x)));
}

/** What the degrees depend on. */
export interface FilterTarget {
  readonly largest: number;
  /** Samples of the leading `rank` eigenvalues, evenly spread over them. */
  readonly wanted: Float64Array;
  readonly rank: number;
  /** Σ of all other eigenvalues. */
  readonly tail: number;
  /** Order of the Gram matrix. */
  readonly n: number;
}

/** Factor between the sum below and excess errors measured on Gaussian, ternary and trained spectra: 5 to 20. */
const excessFactor = 11;

/**
 * The excess error that a filtered random block of `size` vectors leaves. To first order each of the n − size damped
 * directions, of mean square 1/2, contaminates leading vector i by 1 / f(λᵢ), spread over the surplus of the block
 * (Halko, Martinsson and Tropp 2011, section 10), and costs λᵢ − cut.
 */
function predictedExcess(target: FilterTarget, size: number, cut: number, degrees: readonly number[]): number {
  const { wanted, rank, tail, n } = target;
  let sum = 0;
  for (const value of wanted) {
    let growth = 1;
    for (const degree of degrees) growth *= chebyshevGrowth(degree, (2 * value) / cut - 1);
    sum += Math.max(0, value - cut) / (growth * growth);
  }
  const missing = ((sum * rank) / wanted.length) * ((n - size) / 2 / (size - rank));
  return (excessFactor * missing) / (2 * tail);
}

/** Degrees, stage by stage, that bring the predicted excess down within the bounds of float32. */
function filterDegrees(target: FilterTarget, size: number, cut: number): number[] {
  const atLargest = (2 * target.largest) / cut - 1;
  const done: number[] = [];
  for (;;) {
    const cap = done.length === 0 ? firstCap : laterCap;
    let degree = 1;
    while (
      degree < mostDegree &&
      predictedExcess(target, size, cut, [...done, degree]) > plannedExcess &&
      chebyshevGrowth(degree + 1, atLargest) <= cap
    ) {
      degree++;
    }
    done.push(degree);
    if (done.length === mostStages || predictedExcess(target, size, cut, done) <= plannedExcess) return done;
  }
}

/**
 * The degree that takes a filtered block from `excess`, as measured, down to what is planned for: the part of the
 * unwanted directions falls by the growth at the last wanted eigenvalue, or faster, and their energy by its square.
 */
export function refiningDegree(excess: number, { largest, last, cut }: RefinedSpectrum): number {
  const wanted = Math.sqrt(excess / plannedExcess);
  const growthAt = (degree: number, value: number): number => chebyshevGrowth(degree, (2 * value) / cut - 1);
  let degree = 1;
  while (degree < mostDegree && growthAt(degree, last) < wanted && growthAt(degree + 1, largest) <= laterCap) degree++;
  return degree;
}

/** Eigenvalues as a first round has found them: the largest, the last wanted one, and the end of the unwanted. */
export interface RefinedSpectrum {
  readonly largest: number;
  readonly last: number;
  readonly cut: number;
}

/** Surplus vectors to weigh against degrees, as a share of the rank. */
const surplusShares = [0.06, 0.09, 0.12, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5] as const;
/** Surplus vectors at least: the estimate of a count is uncertain by a few. */
const leastSurplus = 8;

/** Samples of the leading eigenvalues. */
const samples = 48;

/** The cheapest filter for the `rank` leading eigenvectors of the Gram matrix of n × m numbers with this squared norm. */
export function planFilter(
  spectrum: SpectrumEstimate,
  {
    rank,
    n,
    m,
    squaredNorm,
  }: { readonly rank: number; readonly n: number; readonly m: number; readonly squaredNorm: number },
): FilterPlan {
  const wanted = Float64Array.from({ length: samples }, (_, i) => spectrum.above(((i + 0.5) * rank) / samples));
  const captured = (wanted.reduce((sum, value) => sum + value, 0) * rank) / samples;
  // The difference of two estimates may be anything where little is left.
  const tail = Math.max(squaredNorm - captured, 1e-3 * squaredNorm);
  const target: FilterTarget = { largest: spectrum.largest, wanted, rank, tail, n };
  let best: FilterPlan | undefined;
  let bestCost = Infinity;
  for (const share of surplusShares) {
    const size = Math.min(n, rank + Math.max(leastSurplus, Math.ceil(share * rank)));
    const cut = spectrum.above(size);
    if (!(cut > 0)) continue;
    const degrees = filterDegrees(target, size, cut);
    const cost = roundCost(size, degrees, n, m);
    if (cost < bestCost) {
      best = { size, cut, degrees };
      bestCost = cost;
    }
  }
  // A spectrum that ends before the rank: any cut does, the caller sees that it is nothing beside the largest.
  return best ?? { size: Math.min(n, rank + leastSurplus), cut: 0, degrees: [1] };
}

/**
 * Work of a round in float32 multiplications, from times measured on two cores: float64 products count twice; the dense
 * float64 solvers, which use one core, 33 per p³ for the eigenproblem and 6 for Cholesky.
 */
function roundCost(p: number, degrees: readonly number[], n: number, m: number): number {
  const degree = degrees.reduce((sum, d) => sum + d, 0);
  const orthonormalization = 3.25 * n * p * p + 6 * p ** 3;
  return (
    degree * n * n * p +
    degrees.length * orthonormalization +
    2 * n * p * p +
    n * m * p +
    1.25 * m * p * p +
    33 * p ** 3 +
    p * p * (n + m)
  );
}

/** Sides up to this are decomposed whole: their eigenproblem costs no more than the many small steps of a filter. */
const smallSide = 272;

/** Whether a filter of an optimistic degree costs less than all eigenvectors; units of `roundCost`. */
export function prefersFilter({
  n,
  m,
  rank,
}: {
  readonly n: number;
  readonly m: number;
  readonly rank: number;
}): boolean {
  if (n <= smallSide) return false;
  const size = rank + Math.max(leastSurplus, Math.ceil(0.12 * rank));
  if (size >= n) return false;
  const filter = 0.625 * n * n * m + 320 * n * n + roundCost(size, [6], n, m);
  const whole = 1.25 * n * n * m + 7 * n ** 3 + 13 * n * n * rank + 2 * rank * n * m;
  return filter < whole;
}
