import { describe, expect, it } from 'vitest';
import { findActivation } from '../../src/rewrite/find-activation.js';
import type { Activation } from '../../src/rewrite/types.js';
import { readModel } from '../../src/graph/read.js';
import { buildModel, type TestNode } from '../support/models.js';

const scalar = (name: string, value: number) => ({ name, dims: [], data: Float32Array.of(value) });
const constants = [
  scalar('zero', 0),
  scalar('half', 0.5),
  scalar('one', 1),
  scalar('three', 3),
  scalar('six', 6),
  scalar('sixth', 1 / 6),
  scalar('root2', Math.SQRT2),
  scalar('slope', 0.2),
  { name: 'c', dims: [4], data: Float32Array.of(1, 2, 3, 4) },
  { name: 'shift', dims: [1, 4, 1, 1], data: Float32Array.of(1, 2, 3, 4) },
];

function find(nodes: readonly TestNode[], output = 'y'): { activation: Activation; unknown?: string } {
  const model = readModel(
    buildModel({
      opset: 20,
      inputs: [{ name: 'h', dims: [1, 4, 5, 5] }],
      outputs: [{ name: output }],
      initializers: constants,
      nodes,
    }),
  );
  return findActivation(model.graph, model.graph.value('h')!);
}

const node = (op: string, inputs: string[], output: string, attributes = {}): TestNode => ({
  op,
  inputs,
  outputs: [output],
  attributes,
});

describe('the activation of a layer', () => {
  const forms: readonly [string, readonly TestNode[], Activation][] = [
    ['Relu', [node('Relu', ['h'], 'y')], { kind: 'Relu' }],
    [
      'through BatchNormalization',
      [node('BatchNormalization', ['h', 'c', 'c', 'c', 'c'], 'n'), node('Relu', ['n'], 'y')],
      { kind: 'Relu' },
    ],
    ['through Add', [node('Add', ['h', 'shift'], 'n'), node('Relu', ['n'], 'y')], { kind: 'Relu' }],
    [
      'through BatchNormalization, Add, Identity',
      [
        node('BatchNormalization', ['h', 'c', 'c', 'c', 'c'], 'n'),
        node('Add', ['n', 'shift'], 'a'),
        node('Identity', ['a'], 'i'),
        node('Tanh', ['i'], 'y'),
      ],
      { kind: 'Tanh' },
    ],
    ['SiLU as x · Sigmoid(x)', [node('Sigmoid', ['h'], 's'), node('Mul', ['h', 's'], 'y')], { kind: 'SiLU' }],
    ['SiLU, factors swapped', [node('Sigmoid', ['h'], 's'), node('Mul', ['s', 'h'], 'y')], { kind: 'SiLU' }],
    ['Sigmoid alone', [node('Sigmoid', ['h'], 'y')], { kind: 'Sigmoid' }],
    ['LeakyRelu', [node('LeakyRelu', ['h'], 'y', { alpha: { float: 0.125 } })], { kind: 'LeakyRelu', alpha: 0.125 }],
    ['Clip(0, 6)', [node('Clip', ['h', 'zero', 'six'], 'y')], { kind: 'Clip', min: 0, max: 6 }],
    ['Clip(0, ∞) is Relu', [node('Clip', ['h', 'zero'], 'y')], { kind: 'Relu' }],
    ['Relu then Min(6)', [node('Relu', ['h'], 'r'), node('Min', ['r', 'six'], 'y')], { kind: 'Clip', min: 0, max: 6 }],
    ['HardSwish', [node('HardSwish', ['h'], 'y')], { kind: 'HardSwish' }],
    [
      'HardSwish as x · HardSigmoid(x)',
      [
        node('HardSigmoid', ['h'], 's', { alpha: { float: 1 / 6 }, beta: { float: 0.5 } }),
        node('Mul', ['h', 's'], 'y'),
      ],
      { kind: 'HardSwish' },
    ],
    [
      'HardSwish as x · Clip(x + 3, 0, 6) / 6',
      [
        node('Add', ['h', 'three'], 'a'),
        node('Clip', ['a', 'zero', 'six'], 'k'),
        node('Mul', ['h', 'k'], 'm'),
        node('Div', ['m', 'six'], 'y'),
      ],
      { kind: 'HardSwish' },
    ],
    [
      'HardSwish as x · (Clip(x + 3, 0, 6) · 1/6)',
      [
        node('Add', ['three', 'h'], 'a'),
        node('Clip', ['a', 'zero', 'six'], 'k'),
        node('Mul', ['k', 'sixth'], 'd'),
        node('Mul', ['d', 'h'], 'y'),
      ],
      { kind: 'HardSwish' },
    ],
    ['Gelu', [node('Gelu', ['h'], 'y')], { kind: 'Gelu' }],
    [
      'Gelu as exporters write it',
      [
        node('Div', ['h', 'root2'], 'd'),
        node('Erf', ['d'], 'e'),
        node('Add', ['e', 'one'], 'p'),
        node('Mul', ['h', 'p'], 'm'),
        node('Mul', ['m', 'half'], 'y'),
      ],
      { kind: 'Gelu' },
    ],
    [
      'none: one of two readers is another layer',
      [node('Relu', ['h'], 'r'), node('GlobalAveragePool', ['h'], 'g'), node('Add', ['r', 'g'], 'y')],
      { kind: 'linear' },
    ],
    ['none: pooling comes next', [node('GlobalAveragePool', ['h'], 'y')], { kind: 'linear' }],
  ];

  it.each(forms)('%s', (_, nodes, expected) => {
    const { activation, unknown } = find(nodes);
    expect(unknown).toBeUndefined();
    expect(activation.kind).toBe(expected.kind);
    for (const [key, value] of Object.entries(expected)) {
      if (typeof value === 'number') expect(activation[key as keyof Activation]).toBeCloseTo(value, 6);
    }
  });

  it('an activation without a rule is named', () => {
    const linear = { kind: 'linear' };
    expect(find([node('Softplus', ['h'], 'y')])).toMatchObject({ activation: linear, unknown: 'Softplus' });
    const composed = [node('Relu', ['h'], 'r'), node('Neg', ['h'], 'g'), node('Add', ['r', 'g'], 'y')];
    expect(find(composed)).toMatchObject({ activation: linear, unknown: 'Relu+Neg+Add' });
  });
});
