import fc from 'fast-check';
import { describe, it } from 'vitest';
import { int } from '../../src/graph/attributes.js';
import { checkGradient } from './support/check-gradient.js';
import { seed } from './support/seed.js';

const shaped = fc
  .record({
    dims: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
    axis: fc.integer({ min: -4, max: 3 }),
    opset: fc.constantFrom(17, 21, 22),
  })
  .filter(({ dims, axis }) => axis >= -dims.length && axis < dims.length);

describe.each(['Softmax', 'LogSoftmax'])('gradient of %s', (opType) => {
  it('holds along every axis', async () => {
    await fc.assert(
      fc.asyncProperty(shaped, async ({ dims, axis, opset }) => {
        await checkGradient({ opType, opset, inputs: [{ dims }], attributes: { axis: int(axis) } });
      }),
      { seed: seed(opType), numRuns: 30 },
    );
  });
});

describe('gradient of PRelu', () => {
  it.each([[[3]], [[1]], [[4, 1, 1]], [[]], [[1, 4, 3, 3]]])('slope %j', async (slope) => {
    const away = { values: Array.from({ length: 72 }, (_, i) => (i % 2 ? 1 : -1) * (0.1 + ((i * 7) % 11) / 5)) };
    await checkGradient({ opType: 'PRelu', inputs: [{ ...away, dims: [2, 4, 3, 3] }, { dims: slope }] });
  });
});

it('PRelu at 0: dx is that of the negative side, as in PyTorch', () =>
  checkGradient({
    opType: 'PRelu',
    inputs: [
      { values: [0], dims: [1] },
      { values: [0.25], dims: [1] },
    ],
    // torch 2.15.
    expected: [[0.25], [0]],
  }));
