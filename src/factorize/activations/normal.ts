/** The normal distribution in double precision. */

export const inverseSqrt2Pi = 1 / Math.sqrt(2 * Math.PI);

/** φ(z) = e^{−z²/2}/√(2π); 0 at ±∞. */
export function normalDensity(z: number): number {
  return inverseSqrt2Pi * Math.exp(-0.5 * z * z);
}

/** Φ(z) = P(N(0, 1) < z), relative error below 1e-14 in both tails. */
export function normalCdf(z: number): number {
  if (z > 8.3) return 1;
  return 0.5 * erfc(-z * Math.SQRT1_2);
}

/** Φ(z) where e^{−z²/2} is already known. */
export function normalCdfFrom(z: number, gaussian: number): number {
  const tail = 0.5 * gaussian * scaledErfc(Math.abs(z) * Math.SQRT1_2);
  return z < 0 ? tail : 1 - tail;
}

/** P(a < N(0, 1) < b), without cancellation where both lie in one tail. */
export function normalProbability(a: number, b: number): number {
  return a > 0 ? normalCdf(-a) - normalCdf(-b) : normalCdf(b) - normalCdf(a);
}

/** The complementary error function. */
export function erfc(x: number): number {
  const z = Math.abs(x);
  const tail = z > 27.5 ? 0 : Math.exp(-z * z) * scaledErfc(z);
  return x >= 0 ? tail : 2 - tail;
}

const pieces = 8;
const terms = 10;

/**
 * Chebyshev coefficients of erfcx(z)/t on eight equal pieces of t = 2/(2 + z) ∈ [0, 1], erfcx(z) = e^{z²}·erfc(z): ten
 * terms leave less than 4e-15. Found at load from the series and the continued fraction.
 */
const coefficients = Float64Array.from(
  Array.from({ length: pieces }, (_, piece) =>
    chebyshev((x) => {
      const t = (piece + (x + 1) / 2) / pieces;
      return slowErfcx(2 / t - 2) / t;
    }),
  ).flat(),
);

/** e^{z²}·erfc(z) for z ≥ 0, by Clenshaw's recurrence. */
function scaledErfc(z: number): number {
  const t = 2 / (2 + z);
  const piece = Math.min(pieces - 1, Math.floor(t * pieces));
  const x = 4 * (t * pieces - piece) - 2;
  const first = piece * terms;
  let b1 = 0;
  let b2 = 0;
  for (let n = terms - 1; n > 0; n--) {
    const b = coefficients[first + n]! + x * b1 - b2;
    b2 = b1;
    b1 = b;
  }
  return t * (coefficients[first]! + 0.5 * x * b1 - b2);
}

/** Coefficients on [−1, 1] from the values at the Chebyshev points. */
function chebyshev(f: (x: number) => number): number[] {
  const angles = Array.from({ length: terms }, (_, k) => (Math.PI * (k + 0.5)) / terms);
  const values = angles.map((angle) => f(Math.cos(angle)));
  return angles.map((_, j) => {
    const sum = values.reduce((total, value, k) => total + value * Math.cos(j * angles[k]!), 0);
    return (sum * (j === 0 ? 1 : 2)) / terms;
  });
}

/** By the series of erf below 1, by the continued fraction above. */
function slowErfcx(z: number): number {
  if (z < 1) {
    // erf z = (2/√π) e^{−z²} Σ 2ⁿ z^{2n+1}/(2n+1)!!
    let term = z;
    let sum = 0;
    for (let n = 0; term > 1e-18 * sum; n++) {
      sum += term;
      term *= (2 * z * z) / (2 * n + 3);
    }
    return Math.exp(z * z) - (2 / Math.sqrt(Math.PI)) * sum;
  }
  // √π·erfcx z = 1/(z + (1/2)/(z + (2/2)/(z + (3/2)/(z + …))))
  let fraction = z;
  for (let n = 600; n > 0; n--) fraction = z + n / 2 / fraction;
  return 1 / (Math.sqrt(Math.PI) * fraction);
}
