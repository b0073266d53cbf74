import { describe, expect, it } from 'vitest';
import { create } from '../../models/index.js';
import { cudaForward } from '../../src/lower/cuda/forward.js';
import type { TestNode } from '../support/models.js';
import { convCases, convOf, expectSameStep, network, norm, normNode, weight } from './support/networks.js';
import { runStep, uniform } from './support/step.js';

describe('the form for CUDA computes what the portable one does', () => {
  it.each(convCases)('Conv $kernel, group $group, $attributes', async (convCase) => {
    const { out } = convCase;
    const { conv, weights } = convOf(convCase);
    const relu: TestNode = { op: 'Relu', inputs: ['h'], outputs: ['y'] };
    await expectSameStep(cudaForward, network([conv, relu], weights, 9, out), [3, 4, 9, 9], 5);
    await expectSameStep(
      cudaForward,
      network([conv, normNode('h', 'y')], [...weights, ...norm(out)], 9, out),
      [3, 4, 9, 9],
      5,
    );
  });

  it('EfficientNet-B0 at 64 pixels', { timeout: 120_000 }, async () => {
    await expectSameStep(cudaForward, create('efficientnet_b0', { numClasses: 10, imageSize: 64 }), [8, 3, 64, 64], 10);
  });

  it('a depthwise weight gradient is products, a mask a selection', async () => {
    const nodes: TestNode[] = [
      { op: 'Conv', inputs: ['x', 'w'], outputs: ['h'], attributes: { group: 4, pads: [1, 1, 1, 1] } },
      { op: 'Relu', inputs: ['h'], outputs: ['y'] },
    ];
    const { operators } = await runStep(
      {
        model: network(nodes, [weight('w', [4, 1, 3, 3], 5)], 9, 4),
        images: { type: 'float32', dims: [2, 4, 9, 9], data: uniform(1, 2 * 4 * 81) },
        targets: new Float32Array(10).fill(0.2),
      },
      cudaForward,
    );
    // One for the model; the gradient of x is not needed.
    expect(operators.get('Conv')).toBe(1);
    // Two for each of the kernel's three rows.
    expect(operators.get('MatMul')).toBe(6);
    expect(operators.get('Where')).toBe(1);
    expect(operators.has('Greater')).toBe(false);
  });
});
