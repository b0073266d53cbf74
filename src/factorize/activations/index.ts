import type { Activation } from '../types.js';
import { gaussianGateKernel, normalGate, sigmoidGate } from './gaussian-gate.js';
import { homogeneousKernel } from './homogeneous.js';
import type { Kernel } from './kernel.js';
import { normalCdf } from './normal.js';
import { clamp, piecewiseKernel } from './piecewise.js';

type Kind = Activation['kind'];
type KernelTable = { readonly [K in Kind]: (activation: Extract<Activation, { readonly kind: K }>) => Kernel };

/** The expectations of every activation: a kind without a rule does not compile. */
const kernels: KernelTable = {
  linear: () => homogeneousKernel(1),
  Relu: () => homogeneousKernel(0),
  LeakyRelu: ({ alpha }) => homogeneousKernel(alpha),
  Clip: ({ min, max }) => piecewiseKernel(clamp(1, 0, min, max)),
  HardSigmoid: ({ alpha, beta }) => piecewiseKernel(clamp(alpha, beta, 0, 1)),
  HardSwish: () =>
    piecewiseKernel({
      breaks: [-3, 3],
      pieces: [
        { quadratic: 0, slope: 0, offset: 0 },
        { quadratic: 1 / 6, slope: 1 / 2, offset: 0 },
        { quadratic: 0, slope: 1, offset: 0 },
      ],
    }),
  SiLU: () => gaussianGateKernel({ gate: sigmoidGate, form: 'gated', value: (x) => x * sigmoid(x) }),
  Gelu: () => gaussianGateKernel({ gate: normalGate, form: 'gated', value: (x) => x * normalCdf(x) }),
  Sigmoid: () =>
    gaussianGateKernel({
      gate: sigmoidGate,
      form: 'gate',
      offset: 0.5,
      value: sigmoid,
      centered: (x) => Math.tanh(x / 2) / 2,
    }),
  Tanh: () => gaussianGateKernel({ gate: sigmoidGate, form: 'gate', slope: 2, gain: 2, value: Math.tanh }),
};

/** The closed forms of an activation. */
export function createKernel(activation: Activation): Kernel {
  return (kernels[activation.kind] as (activation: Activation) => Kernel)(activation);
}

function sigmoid(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  const e = Math.exp(x);
  return e / (1 + e);
}
