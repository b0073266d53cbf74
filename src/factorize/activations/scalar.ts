import type { Activation } from '../../rewrite/types.js';
import { createKernel } from './index.js';
import { normalCdf, normalDensity } from './normal.js';

type Kind = Activation['kind'];
type SlopeTable = {
  readonly [K in Kind]: (activation: Extract<Activation, { readonly kind: K }>) => (x: number) => number;
};

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const within = (x: number, min: number, max: number): boolean => x > min && x < max;

/** σ′; at a kink, the slope of the flatter side. A kind without a rule does not compile. */
const slopes: SlopeTable = {
  linear: () => () => 1,
  Relu: () => (x) => (x > 0 ? 1 : 0),
  LeakyRelu:
    ({ alpha }) =>
    (x) =>
      x > 0 ? 1 : alpha,
  Clip:
    ({ min, max }) =>
    (x) =>
      within(x, min, max) ? 1 : 0,
  SiLU: () => (x) => {
    const gate = sigmoid(x);
    return gate * (1 + x * (1 - gate));
  },
  HardSwish: () => (x) => (x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 1 / 2),
  HardSigmoid:
    ({ alpha, beta }) =>
    (x) =>
      within(alpha * x + beta, 0, 1) ? alpha : 0,
  Sigmoid: () => (x) => {
    const gate = sigmoid(x);
    return gate * (1 - gate);
  },
  Tanh: () => (x) => 1 - Math.tanh(x) ** 2,
  Gelu: () => (x) => normalCdf(x) + x * normalDensity(x),
};

/** An activation as a function of one number. */
export interface ScalarFunction {
  readonly value: (x: number) => number;
  readonly slope: (x: number) => number;
}

export function scalarFunction(activation: Activation): ScalarFunction {
  const slope = slopes[activation.kind] as (activation: Activation) => (x: number) => number;
  const kernel = createKernel(activation, 'coarse');
  return { value: (x) => kernel.value(x), slope: slope(activation) };
}
