/** The normal distribution in double precision. */

const inverseSqrt2Pi = 1 / Math.sqrt(2 * Math.PI);

/** φ(z) = e^{−z²/2}/√(2π); 0 at ±∞. */
export function normalDensity(z: number): number {
  return inverseSqrt2Pi * Math.exp(-0.5 * z * z);
}

/** Φ(z) = P(N(0, 1) < z), relative error below 1e-14 in both tails. */
export function normalCdf(z: number): number {
  if (z > 8.3) return 1;
  return 0.5 * erfc(-z * Math.SQRT1_2);
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

const chebyshevTerms = 32;

/**
 * Chebyshev coefficients on t ∈ [0, 1], t = 2/(2 + z), of erfcx(z)/t, erfcx(z) = e^{z²}·erfc(z): a smooth function, so
 * that 32 terms leave less than 1e-15. Found at load from the series and the continued fraction.
 */
const coefficients = chebyshevCoefficients((t) => (t === 0 ? 1 / (2 * Math.sqrt(Math.PI)) : slowErfcx(2 / t - 2) / t));

/** e^{z²}·erfc(z) for z ≥ 0, by Clenshaw's recurrence. */
function scaledErfc(z: number): number {
  const t = 2 / (2 + z);
  const x = 4 * t - 2;
  let b1 = 0;
  let b2 = 0;
  for (let n = chebyshevTerms - 1; n > 0; n--) {
    const b = coefficients[n]! + x * b1 - b2;
    b2 = b1;
    b1 = b;
  }
  return t * (coefficients[0]! + 0.5 * x * b1 - b2);
}

function chebyshevCoefficients(f: (t: number) => number): Float64Array {
  const n = chebyshevTerms;
  const values = Array.from({ length: n }, (_, k) => f(0.5 + 0.5 * Math.cos((Math.PI * (k + 0.5)) / n)));
  return Float64Array.from({ length: n }, (_, j) => {
    const sum = values.reduce((total, value, k) => total + value * Math.cos((Math.PI * j * (k + 0.5)) / n), 0);
    return (sum * (j === 0 ? 1 : 2)) / n;
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
