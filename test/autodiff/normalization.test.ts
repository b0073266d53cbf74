import fc from 'fast-check';
import { describe, it } from 'vitest';
import { float, int } from '../../src/graph/attributes.js';
import { checkGradient } from './support/check-gradient.js';
import { seed } from './support/seed.js';

const dims = fc.record({
  batch: fc.integer({ min: 2, max: 4 }),
  channels: fc.integer({ min: 1, max: 4 }),
  spatial: fc.array(fc.integer({ min: 2, max: 4 }), { maxLength: 3 }),
});

describe('gradient of BatchNormalization', () => {
  const batchNormalization = fc.record({
    shape: dims,
    epsilon: fc.constantFrom(1e-5, 1e-3, 0.1),
    momentum: fc.constantFrom(0, 0.9),
    opset: fc.constantFrom(17, 18, 21, 22),
  });

  it('holds in inference form, for all five inputs', async () => {
    await fc.assert(
      fc.asyncProperty(batchNormalization, async ({ shape: { batch, channels, spatial }, epsilon, opset }) => {
        const vector = { dims: [channels] };
        await checkGradient({
          opType: 'BatchNormalization',
          opset,
          inputs: [{ dims: [batch, channels, ...spatial] }, vector, vector, vector, { ...vector, range: [0.5, 2] }],
          attributes: { epsilon: float(epsilon) },
        });
      }),
      { seed: seed('BatchNormalization'), numRuns: 25 },
    );
  });

  it('holds in training form, with its own statistics or computed again', async () => {
    await fc.assert(
      fc.asyncProperty(batchNormalization, async ({ shape, epsilon, momentum, opset }) => {
        const { batch, channels, spatial } = shape;
        const vector = { dims: [channels] };
        await checkGradient({
          opType: 'BatchNormalization',
          opset,
          inputs: [
            { dims: [batch + 2, channels, ...spatial] },
            vector,
            vector,
            { ...vector, fixed: true },
            { ...vector, range: [0.5, 2], fixed: true },
          ],
          attributes: { epsilon: float(epsilon), momentum: float(momentum), training_mode: int(1) },
          outputs: 3,
        });
      }),
      { seed: seed('BatchNormalization, training'), numRuns: 25 },
    );
  });
});
