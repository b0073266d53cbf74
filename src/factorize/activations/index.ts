import type { Activation } from '../../rewrite/types.js';
import { gaussianGateKernel, normalGate, sigmoidGates } from './gaussian-gate.js';
import { homogeneousKernel } from './homogeneous.js';
import type { Kernel, Precision } from './kernel.js';
import { normalCdf } from './normal.js';
import { clamp, type PiecewiseFunction } from './piecewise-function.js';
import { piecewiseKernel } from './piecewise.js';

type Kind = Activation['kind'];
type KernelTable = {
  readonly [K in Kind]: (activation: Extract<Activation, { readonly kind: K }>, precision: Precision) => Kernel;
};

/** The expectations of every activation: a kind without a rule does not compile. */
const kernels: KernelTable = {
  linear: () => homogeneousKernel(1),
  Relu: () => homogeneousKernel(0),
  LeakyRelu: ({ alpha }) => homogeneousKernel(alpha),
  Clip: ({ min, max }, precision) => piecewiseKernel(clamp(1, 0, min, max), precision),
  HardSigmoid: ({ alpha, beta }, precision) => piecewiseKernel(clamp(alpha, beta, 0, 1), precision),
  HardSwish: (_, precision) => piecewiseKernel(hardSwish, precision),
  SiLU: (_, precision) =>
    gaussianGateKernel({ gate: sigmoidGates[precision], form: 'gated', value: (x) => x * sigmoid(x) }),
  Gelu: () => gaussianGateKernel({ gate: normalGate, form: 'gated', value: (x) => x * normalCdf(x) }),
  Sigmoid: (_, precision) =>
    gaussianGateKernel({
      gate: sigmoidGates[precision],
      form: 'gate',
      offset: 0.5,
      value: sigmoid,
      centered: (x) => Math.tanh(x / 2) / 2,
    }),
  Tanh: (_, precision) =>
    gaussianGateKernel({ gate: sigmoidGates[precision], form: 'gate', slope: 2, gain: 2, value: Math.tanh }),
};

/** The closed forms of an activation. */
export function createKernel(activation: Activation, precision: Precision = 'fine'): Kernel {
  const create = kernels[activation.kind] as (activation: Activation, precision: Precision) => Kernel;
  return create(activation, precision);
}

const hardSwish: PiecewiseFunction = {
  breaks: [-3, 3],
  pieces: [
    { quadratic: 0, slope: 0, offset: 0 },
    { quadratic: 1 / 6, slope: 1 / 2, offset: 0 },
    { quadratic: 0, slope: 1, offset: 0 },
  ],
};

function sigmoid(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  const e = Math.exp(x);
  return e / (1 + e);
}
