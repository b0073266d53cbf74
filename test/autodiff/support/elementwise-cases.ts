import { float, int, string } from '../../../src/graph/attributes.js';
import type { GradientCase, Input } from './check-gradient.js';

export type Case = Omit<GradientCase, 'opType' | 'domain'>;
/** Cases by operator, `domain.opType` outside ai.onnx. */
export type CaseTable = Readonly<Record<string, readonly Case[]>>;

const x = (...dims: number[]): Input => ({ dims });
const within = (low: number, high: number): readonly Case[] => [{ inputs: [{ dims: [2, 3], range: [low, high] }] }];
/** Further than the step of the differences from 0, ±0.5, ±1, ±2.5 and ±3, where activations have kinks. */
const apart: Input = { values: [-4, -2.7, -1.4, -0.7, -0.2, 0.2, 0.7, 1.4, 2.7, 4], dims: [2, 5] };
const at = (attributes: NonNullable<Case['attributes']>, opset = 17): Case => ({ inputs: [apart], attributes, opset });
const smooth: readonly Case[] = [{ inputs: [x(2, 3)] }];
const binary: readonly Case[] = [
  { inputs: [x(2, 3, 4), { dims: [3, 1], range: [0.5, 2] }] },
  { inputs: [x(3, 1), { dims: [2, 3, 4], range: [-2, -0.5] }] },
  { inputs: [x(), { dims: [4], range: [0.5, 1] }] },
  { inputs: [x(2, 3), { dims: [2, 3], range: [0.5, 1], fixed: true }] },
];
const distinct: readonly Case[] = [
  {
    inputs: [
      { values: [1, -1, 0.5, 2, -3, 0], dims: [2, 3] },
      { values: [0.2, 0.7, -0.4], dims: [3] },
      { values: [0.6, 1.2], dims: [2, 1] },
    ],
  },
  {
    inputs: [
      { values: [1, -1, 0.5, 2, -3, 0.2], dims: [2, 3] },
      { values: [0], dims: [] },
    ],
  },
  { inputs: [x(2, 3)] },
];
const several: readonly Case[] = [{ inputs: [x(2, 1), x(3), x(4, 1, 1)] }, { inputs: [x(2, 3)] }];

export const elementwiseCases: CaseTable = {
  Abs: [{ inputs: [apart] }],
  Acos: within(-0.8, 0.8),
  Acosh: within(1.5, 3),
  Add: binary,
  Asin: within(-0.8, 0.8),
  Asinh: smooth,
  Atan: smooth,
  Atanh: within(-0.8, 0.8),
  Cast: [{ inputs: [x(2, 3)], attributes: { to: int(1) } }],
  CastLike: [{ inputs: [x(2, 3), { dims: [1], fixed: true }] }],
  Celu: [{ inputs: [apart] }, at({ alpha: float(2) })],
  Clip: [
    { inputs: [apart, { values: [-1], dims: [] }, { values: [3.2], dims: [] }] },
    { inputs: [apart, undefined, { values: [1], dims: [] }] },
    { inputs: [apart, { values: [0], dims: [], fixed: true }] },
    { inputs: [apart] },
  ],
  Cos: smooth,
  Cosh: smooth,
  Div: binary,
  Dropout: [{ inputs: [x(2, 3)] }],
  Elu: [{ inputs: [apart] }, at({ alpha: float(0.3) })],
  Erf: smooth,
  Exp: smooth,
  Gelu: [at({}, 20), at({ approximate: string('tanh') }, 20)],
  HardSigmoid: [{ inputs: [apart] }, at({ alpha: float(1 / 6), beta: float(0.5) })],
  HardSwish: [{ inputs: [apart] }],
  Identity: smooth,
  LeakyRelu: [{ inputs: [apart] }, at({ alpha: float(0.3) })],
  Log: within(0.5, 2),
  LpNormalization: [
    { inputs: [x(2, 3, 4)] },
    { inputs: [x(2, 3, 4)], attributes: { axis: int(1), p: int(2) } },
    { inputs: [apart], attributes: { axis: int(1), p: int(1) } },
  ],
  Max: distinct,
  Mean: several,
  MeanVarianceNormalization: [{ inputs: [x(2, 3, 4, 2)] }],
  Min: distinct,
  Mish: [at({}, 18)],
  Mod: [
    {
      inputs: [
        { values: [7.3, -7.3, 2.2], dims: [3] },
        { values: [2, 3], dims: [2, 1] },
      ],
      attributes: { fmod: int(1) },
    },
  ],
  Mul: binary,
  Neg: smooth,
  Pow: [
    { inputs: [{ dims: [2, 3], range: [0.5, 2] }, x(3)] },
    ...[-1, 0, 0.5, 1, 2, 3, 1.7].map((exponent): Case => ({
      inputs: [
        { dims: [2, 3], range: [0.5, 2] },
        { values: [exponent], dims: [], fixed: true },
      ],
    })),
    { inputs: [apart, { ints: [2], dims: [] }] },
    { inputs: [apart, { ints: [3], dims: [1], isFed: true }] },
  ],
  Reciprocal: within(0.5, 2),
  Relu: [{ inputs: [apart] }],
  Selu: [{ inputs: [apart] }, at({ alpha: float(1.2), gamma: float(0.8) })],
  Shrink: [{ inputs: [apart] }, at({ lambd: float(1), bias: float(0.3) })],
  Sigmoid: smooth,
  Sin: smooth,
  Sinh: smooth,
  Softplus: smooth,
  Softsign: [{ inputs: [apart] }],
  Sqrt: within(0.5, 2),
  Sub: binary,
  Sum: several,
  Swish: [at({}, 24), at({ alpha: float(1.7) }, 24)],
  Tan: within(-1, 1),
  Tanh: smooth,
  ThresholdedRelu: [{ inputs: [apart] }, at({ alpha: float(0.3) })],
  Where: [
    { inputs: [{ bools: [1, 0, 0], dims: [3] }, x(2, 3), x(2, 1)] },
    { inputs: [{ bools: [1, 0], dims: [2, 1] }, x(3), x()] },
  ],
  'com.microsoft.BiasGelu': [{ inputs: [x(2, 3, 4), x(4)] }],
  'com.microsoft.FastGelu': [{ inputs: [x(2, 3, 4), x(4)] }, { inputs: [x(2, 3)] }],
  'com.microsoft.Gelu': smooth,
  'com.microsoft.QuickGelu': [{ inputs: [x(2, 3)] }, at({ alpha: float(1) })],
};
