import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import { findParameters } from '../../src/step/parameters.js';
import { buildModel, type TestInitializer, type TestNode } from '../support/models.js';
import { failureOf } from '../support/errors.js';

const floats = (name: string, dims: readonly number[]): TestInitializer => ({
  name,
  dims,
  data: new Float32Array(dims.reduce((product, dim) => product * dim, 1)).fill(0.5),
});
const ints = (name: string, values: readonly number[]): TestInitializer => ({
  name,
  type: 'int64',
  dims: [values.length],
  data: BigInt64Array.from(values, BigInt),
});
const node = (op: string, inputs: readonly string[], output: string, attributes = {}): TestNode => ({
  op,
  inputs,
  outputs: [output],
  attributes,
});

function found(nodes: readonly TestNode[], initializers: readonly TestInitializer[], freeze: readonly string[] = []) {
  const { graph } = readModel(
    buildModel({
      inputs: [{ name: 'x', dims: ['n', 3, 4, 4] }],
      outputs: [{ name: 'y' }],
      nodes,
      initializers,
    }),
  );
  const { parameters, statistics } = findParameters(graph, [graph.outputs[0]!], { freeze });
  return { parameters: parameters.map(({ name }) => name), statistics: statistics.map(({ name }) => name) };
}

const head = [
  node('GlobalAveragePool', ['last'], 'p'),
  node('Flatten', ['p'], 'f'),
  node('Gemm', ['f', 'w', 'b'], 'y'),
];
const headWeights = [floats('w', [4, 2]), floats('b', [2])];

describe('what is trained', () => {
  it('weights and biases of layers, not the mean and deviation of the images, nor single constants', () => {
    const nodes = [
      node('Sub', ['x', 'mean'], 'centered'),
      node('Div', ['centered', 'deviation'], 'normal'),
      node('Conv', ['normal', 'kernel'], 'c'),
      node('Add', ['c', 'bias'], 'd'),
      node('Add', ['d', '/act/Constant_output_0'], 'e'),
      node('BatchNormalization', ['e', 'scale', 'shift', 'running', 'variance'], 'last'),
      ...head,
    ];
    const channels = ['scale', 'shift', 'running', 'variance'].map((name) => floats(name, [4]));
    const images = [floats('mean', [3, 1, 1]), floats('deviation', [3, 1, 1])];
    const own = [floats('kernel', [4, 3, 1, 1]), floats('bias', [4, 1, 1]), floats('/act/Constant_output_0', [])];
    expect(found(nodes, [...images, ...own, ...channels, ...headWeights])).toEqual({
      parameters: ['kernel', 'bias', 'scale', 'shift', 'w', 'b'],
      statistics: ['running', 'variance'],
    });
  });

  it.each([
    ['Expand', [node('Expand', ['token', 'shape'], 'tokens')]],
    ['Tile', [node('Tile', ['token', 'shape'], 'tokens')]],
    ['Add to zeros', [node('ConstantOfShape', ['shape'], 'zeros'), node('Add', ['zeros', 'token'], 'tokens')]],
  ])('a class token that comes through %s', (_, steps) => {
    const nodes = [
      node('Conv', ['x', 'kernel'], 'c'),
      ...steps,
      node('Concat', ['tokens', 'c'], 'last', { axis: 2 }),
      ...head,
    ];
    const own = [floats('kernel', [4, 3, 1, 1]), floats('token', [1, 4, 1, 4]), ints('shape', [1, 1, 1, 1])];
    expect(found(nodes, [...own, ...headWeights]).parameters).toEqual(['kernel', 'token', 'w', 'b']);
  });

  it('a constant that is added to the images stays, also where they are concatenated to what is learned', () => {
    const nodes = [
      node('Conv', ['x', 'kernel'], 'c'),
      node('Add', ['x', 'mean'], 'centered'),
      node('Concat', ['c', 'centered'], 'last', { axis: 1 }),
      ...head,
    ];
    const own = [floats('kernel', [4, 3, 1, 1]), floats('mean', [3, 1, 1]), floats('w', [7, 2]), floats('b', [2])];
    expect(found(nodes, own).parameters).toEqual(['kernel', 'w', 'b']);
  });

  it('globs freeze; one that matches nothing, or everything, is an error', async () => {
    const nodes = [node('Conv', ['x', 'kernel'], 'last'), ...head];
    const own = [floats('kernel', [4, 3, 1, 1]), ...headWeights];
    expect(found(nodes, own, ['k*']).parameters).toEqual(['w', 'b']);
    expect((await failureOf('USAGE', () => found(nodes, own, ['z*']))).message).toContain("'z*' matches no parameter");
    expect((await failureOf('UNSUPPORTED', () => found(nodes, own, ['*']))).message).toContain('freeze less');
  });
});
