import { describe, it } from 'vitest';
import { float, int, ints } from '../../src/graph/attributes.js';
import { checkGradient, type GradientCase } from './support/check-gradient.js';

const points = (...values: number[]): { readonly values: readonly number[]; readonly dims: readonly number[] } => ({
  values,
  dims: [values.length],
});
const activation = (opType: string, at: readonly number[], expected: readonly number[]): GradientCase => ({
  opType,
  inputs: [points(...at)],
  expected: [expected],
});
const gamma = 1.05070102214813232421875;
const scale = 1.67326319217681884765625 * gamma;

/**
 * Where a function has no derivative there is a convention. These are PyTorch 2.15's, printed by its autograd for the same
 * points on float32 (torch.nn.functional; hardshrink for Shrink, threshold for ThresholdedRelu, amax for ReduceMax).
 */
const cases: readonly GradientCase[] = [
  activation('Relu', [-1, 0, 1], [0, 0, 1]),
  activation('Abs', [-1, 0, 1], [-1, 0, 1]),
  activation('HardSwish', [-4, -3, 0, 3, 4], [0, 0, 0.5, 1, 1]),
  {
    ...activation('HardSigmoid', [-4, -3, -1, 3, 4], [0, 0, 1 / 6, 0, 0]),
    attributes: { alpha: float(1 / 6), beta: float(0.5) },
  },
  { ...activation('LeakyRelu', [-1, 0, 1], [0.1, 0.1, 1]), attributes: { alpha: float(0.1) } },
  { ...activation('Elu', [-1, 0, 1], [2 * Math.exp(-1), 2, 1]), attributes: { alpha: float(2) } },
  activation('Selu', [-1, 0, 1], [scale * Math.exp(-1), scale, gamma]),
  { ...activation('Celu', [-1, 0, 1], [Math.exp(-0.5), 1, 1]), attributes: { alpha: float(2) } },
  { ...activation('Shrink', [-1, -0.5, 0, 0.5, 1], [1, 0, 0, 0, 1]), attributes: { lambd: float(0.5) } },
  { ...activation('ThresholdedRelu', [0, 1, 2], [0, 0, 1]), attributes: { alpha: float(1) } },
  activation('Softsign', [0, 1], [1, 0.25]),
  { opType: 'Clip', inputs: [points(-1, 0, 3, 6, 7), { floats: [0] }, { floats: [6] }], expected: [[0, 0, 1, 0, 0]] },
  {
    opType: 'Max',
    inputs: [points(-1, 0, 1), points(0, 0, 0)],
    expected: [
      [0, 0.5, 1],
      [1, 0.5, 0],
    ],
  },
  {
    opType: 'Min',
    inputs: [points(-1, 0, 1), points(0, 0, 0)],
    expected: [
      [1, 0.5, 0],
      [0, 0.5, 1],
    ],
  },
  { opType: 'Pow', inputs: [points(0, -2), { floats: [2] }], expected: [[0, -4]] },
  {
    opType: 'Pow',
    inputs: [points(0, 2), points(0, 3)],
    expected: [
      [0, 12],
      [0, 8 * Math.log(2)],
    ],
  },
  { opType: 'ReduceL2', inputs: [points(0, 0)], expected: [[0, 0]] },
  { opType: 'ReduceMax', inputs: [points(1, 1, 0)], expected: [[0.5, 0.5, 0]] },
  { opType: 'ReduceMin', inputs: [points(1, 0, 0)], expected: [[0, 0.5, 0.5]] },
  { opType: 'ReduceProd', inputs: [points(0, 2, 3)], expected: [[6, 0, 0]] },
  { opType: 'ReduceProd', inputs: [points(0, 0, 3)], expected: [[0, 0, 0]] },
  {
    opType: 'ReduceProd',
    inputs: [{ values: [0, 2, 3, 4], dims: [2, 2] }],
    attributes: { axes: ints([1]), keepdims: int(0) },
    expected: [[2, 0, 4, 3]],
  },
  {
    opType: 'Mod',
    inputs: [points(7.5, -7.5), points(2, 2)],
    attributes: { fmod: int(1) },
    expected: [
      [1, 1],
      [-3, 3],
    ],
  },
];

describe('derivatives at kinks are those of PyTorch', () => {
  for (const [i, gradientCase] of cases.entries()) it(`${gradientCase.opType} ${i}`, () => checkGradient(gradientCase));
});
