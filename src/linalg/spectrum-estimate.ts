import { implicitQl } from './dense/ql.js';
import type { Operand } from './operand.js';
import type { Products } from './products.js';
import { randomBlock } from './random-block.js';

/** The eigenvalues of a symmetric, positive semidefinite matrix as a rough distribution. */
export interface SpectrumEstimate {
  readonly largest: number;
  /** Estimate of the eigenvalue with `count` larger ones; at least 0. */
  above(count: number): number;
}

/** Random start vectors, one row each. */
const probes = 8;
/** Steps of the Lanczos process. With fewer, or fewer vectors, some filters fail; more do not make them cheaper. */
const steps = 16;

/**
 * Stochastic Lanczos quadrature (Lin, Saad and Yang 2016): for a random unit vector the Ritz values of a short Lanczos
 * process, with the squared first components of their eigenvectors as weights, are a sample of the spectral distribution.
 * Without reorthogonalization: copies of converged Ritz values share the weight, which is all that counts here.
 */
export async function estimateSpectrum(
  products: Products,
  gram: Operand,
  n: number,
  seed: number,
  signal: AbortSignal | undefined,
): Promise<SpectrumEstimate> {
  let v: Float32Array = randomBlock(probes, n, seed, 'spectrum');
  let previous: Float32Array = new Float32Array(n * probes);
  let w: Float32Array = new Float32Array(n * probes);
  const length = Math.min(steps, n);
  const alphas = new Float64Array(length * probes);
  const betas = new Float64Array(length * probes);
  normalizeRows(v, n, new Float64Array(probes));
  for (let step = 0; step < length; step++) {
    await products.multiply({ rows: probes, cols: n, data: v }, gram, { rows: probes, cols: n, data: w }, { signal });
    const before = step === 0 ? new Float64Array(probes) : betas.subarray((step - 1) * probes, step * probes);
    const alpha = alphas.subarray(step * probes, (step + 1) * probes);
    for (let row = 0; row < probes; row++) {
      alpha[row] = orthogonalize(w, v, previous, before[row]!, row * n, (row + 1) * n);
    }
    normalizeRows(w, n, betas.subarray(step * probes, (step + 1) * probes));
    [previous, v, w] = [v, w, previous];
  }
  return distribution(n, length, alphas, betas);
}

/** The three-term recurrence w ← w − α v − β previous on the elements `from` … `to` − 1; returns α = ⟨v, w⟩. */
function orthogonalize(
  w: Float32Array,
  v: Float32Array,
  previous: Float32Array,
  beta: number,
  from: number,
  to: number,
): number {
  let alpha = 0;
  for (let i = from; i < to; i++) alpha += v[i]! * w[i]!;
  for (let i = from; i < to; i++) w[i] = w[i]! - alpha * v[i]! - beta * previous[i]!;
  return alpha;
}

/** Divides rows of `n` numbers by their norms, which `norms` receives; a zero row stays. */
function normalizeRows(x: Float32Array, n: number, norms: Float64Array): void {
  for (let row = 0; row < norms.length; row++) {
    let sum = 0;
    for (let i = row * n; i < (row + 1) * n; i++) sum += x[i]! * x[i]!;
    const norm = Math.sqrt(sum);
    const factor = norm > 0 ? 1 / norm : 0;
    for (let i = row * n; i < (row + 1) * n; i++) x[i] = x[i]! * factor;
    norms[row] = norm;
  }
}

/** A step function of one probe: `counts[i]` eigenvalues lie above `values[i]`; values fall, counts rise. */
interface CountCurve {
  readonly values: Float64Array;
  readonly counts: Float64Array;
}

/**
 * The nodes of different probes fall on almost the same places, so that a common step function of them would be a coarse
 * staircase. Each probe's is made continuous instead (half of a node's weight lies above it), and the mean inverted.
 */
function distribution(n: number, length: number, alphas: Float64Array, betas: Float64Array): SpectrumEstimate {
  const curves = Array.from({ length: probes }, (_, c) => countCurve(n, length, alphas, betas, c));
  const values = Float64Array.from(curves.flatMap((curve) => [...curve.values]))
    .sort()
    .reverse();
  const counts = values.map((value) => curves.reduce((sum, curve) => sum + countAbove(curve, value), 0) / probes);
  return {
    largest: values[0]!,
    above: (count) => {
      if (count <= counts[0]!) return values[0]!;
      const next = counts.findIndex((other) => other > count);
      if (next < 0) return Math.max(0, values.at(-1)!);
      const t = (count - counts[next - 1]!) / (counts[next]! - counts[next - 1]!);
      return Math.max(0, values[next - 1]! + t * (values[next]! - values[next - 1]!));
    },
  };
}

function countCurve(n: number, length: number, alphas: Float64Array, betas: Float64Array, probe: number): CountCurve {
  const d = Float64Array.from({ length }, (_, step) => alphas[step * probes + probe]!);
  const e = Float64Array.from({ length }, (_, step) => betas[step * probes + probe]!);
  // Beyond a negligible beta the process has only followed rounding.
  const scale = d.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const end = e.findIndex((value) => value <= 1e-6 * scale);
  const size = end < 0 ? length : end + 1;
  const first = new Float64Array(size);
  first[0] = 1;
  implicitQl(d, e, 0, size, { data: first, stride: 1, width: 1 });
  const order = Array.from({ length: size }, (_, i) => i).sort((i, j) => d[j]! - d[i]!);
  const values = Float64Array.from(order, (i) => d[i]!);
  const counts = new Float64Array(size);
  let seen = 0;
  for (const [place, i] of order.entries()) {
    const share = first[i]! ** 2 * n;
    counts[place] = seen + share / 2;
    seen += share;
  }
  return { values, counts };
}

function countAbove({ values, counts }: CountCurve, value: number): number {
  if (value >= values[0]!) return 0;
  let next = 1;
  while (next < values.length && values[next]! > value) next++;
  if (next === values.length) return counts.at(-1)!;
  const t = (values[next - 1]! - value) / (values[next - 1]! - values[next]!);
  return counts[next - 1]! + t * (counts[next]! - counts[next - 1]!);
}
