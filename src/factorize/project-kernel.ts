import { LowrankError } from '../errors.js';
import { createLinalg } from '../linalg/linalg.js';
import type { Matrix } from '../linalg/types.js';
import { loadDriver } from '../runtime/driver.js';
import { createKernel } from './activations/index.js';
import type { Kernel } from './activations/kernel.js';
import { inits } from './inits/index.js';
import type { Activation, FactorPair } from '../rewrite/types.js';

/** What is known of a layer: inputs x ~ N(0, I) and what it made of them, σ(Wx), row by row. */
export interface KernelSamples {
  /** count × cols */
  readonly inputs: Matrix;
  /** count × neurons */
  readonly outputs: Matrix;
}

export interface ProjectKernelOptions {
  /** From 1 to min(neurons, cols). */
  readonly rank: number;
  /** σ; default ReLU. */
  readonly activation?: Activation;
  readonly seed?: number;
  /** Threads of onnxruntime; default: the machine's cores. */
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

export interface ProjectedKernel {
  /** W as the samples tell it, neurons × cols. */
  readonly weight: Matrix;
  /** weight ≈ left · right: the set of singular directions that loses least, every neuron at its best norm. */
  readonly pair: FactorPair;
}

/**
 * Nonlinear kernel projection from samples: a low-rank Ŵ with σ(Ŵx) close to σ(Wx) where only pairs (x, σ(Wx)) are given.
 * W is estimated first: E σ(⟨w, x⟩) x = E σ'(⟨w, x⟩) · w (Stein's lemma; w/2 for ReLU) tells each neuron's direction, and
 * E σ(⟨w, x⟩)², which grows with |w|, its norm. Its relative error is about √(2 · cols / count) for ReLU. Then Algorithm 3
 * of arXiv 2202.00834 chooses the directions (`relu-svd`).
 *
 * Throws USAGE (sizes that do not fit), NUMERIC (samples that are not finite, or that σ gives for no weight), RUNTIME,
 * ABORTED.
 */
export async function projectNonlinearKernel(
  samples: KernelSamples,
  options: ProjectKernelOptions,
): Promise<ProjectedKernel> {
  const { rank, activation = { kind: 'Relu' }, seed = 0, threads, signal } = options;
  checkSamples(samples, rank);
  const { inputs, outputs } = samples;
  const linalg = await createLinalg({ driver: await loadDriver(), threads });
  try {
    const weight = await linalg.gemm(outputs, inputs, { transposeA: true });
    const kernel = createKernel(activation);
    const moments = secondMoments(outputs);
    for (let neuron = 0; neuron < weight.rows; neuron++) {
      const row = weight.data.subarray(neuron * weight.cols, (neuron + 1) * weight.cols);
      setNorm(row, normOf(kernel, moments[neuron]!, neuron));
    }
    const problem = { weight, rowsPerNeuron: 1, rank, activation, seed, linalg, signal };
    const { left, right } = await inits['relu-svd'].fit(problem);
    return { weight, pair: { left, right } };
  } finally {
    await linalg.close();
  }
}

function checkSamples({ inputs, outputs }: KernelSamples, rank: number): void {
  const wrong = (fact: string, remedy: string): LowrankError => new LowrankError('USAGE', fact, { remedy });
  for (const [name, { rows, cols, data }] of Object.entries({ inputs, outputs })) {
    if (rows >= 1 && cols >= 1 && data.length === rows * cols) continue;
    throw wrong(`the ${name} are ${data.length} numbers for ${rows} × ${cols}`, 'give rows · cols of them');
  }
  if (inputs.rows !== outputs.rows) {
    throw wrong(`${inputs.rows} inputs and ${outputs.rows} outputs`, 'give one row of outputs for each of inputs');
  }
  const most = Math.min(inputs.cols, outputs.cols);
  if (!Number.isInteger(rank) || rank < 1 || rank > most) {
    throw wrong(`rank ${rank} of a ${outputs.cols} × ${inputs.cols} weight`, `choose 1 to ${most}`);
  }
  for (const [name, { cols, data }] of Object.entries({ inputs, outputs })) {
    const at = data.findIndex((value) => !Number.isFinite(value));
    if (at < 0) continue;
    throw new LowrankError('NUMERIC', `the ${name} hold ${data[at]}`, {
      place: `row ${Math.floor(at / cols)}, column ${at % cols}`,
      remedy: 'leave such samples out',
    });
  }
}

/** Mean squares of the columns. */
function secondMoments({ rows, cols, data }: Matrix): Float64Array {
  const sums = new Float64Array(cols);
  for (let row = 0, at = 0; row < rows; row++) for (let col = 0; col < cols; col++, at++) sums[col]! += data[at]! ** 2;
  return sums.map((sum) => sum / rows);
}

/** Beyond any weight. */
const largestNorm = 2 ** 60;

/** |w| with E σ(|w| z)² = moment, by bisection. */
function normOf(kernel: Kernel, moment: number, neuron: number): number {
  if (moment <= kernel.secondMoment(0)) return 0;
  let high = 1;
  while (kernel.secondMoment(high) < moment) {
    high *= 2;
    if (high <= largestNorm) continue;
    throw new LowrankError('NUMERIC', `the outputs have a mean square of ${moment}, which no weight gives`, {
      place: `neuron ${neuron}`,
      remedy: 'give the activation that the outputs were made with',
    });
  }
  let low = 0;
  for (;;) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) return middle;
    if (kernel.secondMoment(middle) < moment) low = middle;
    else high = middle;
    if (high - low <= 1e-12 * high) return high;
  }
}

/** Scales a vector to a length; 0 stays 0. */
function setNorm(row: Float32Array, norm: number): void {
  const length = Math.sqrt(row.reduce((sum, x) => sum + x * x, 0));
  const factor = length > 0 ? norm / length : 0;
  for (let i = 0; i < row.length; i++) row[i]! *= factor;
}
