import fc from 'fast-check';
import { describe, it } from 'vitest';
import { string } from '../../src/graph/attributes.js';
import { checkGradient } from './support/check-gradient.js';
import { seed } from './support/seed.js';

const axis = fc.record({
  size: fc.integer({ min: 3, max: 5 }),
  before: fc.integer({ min: -1, max: 2 }),
  after: fc.integer({ min: -1, max: 2 }),
});

describe('gradient of Pad', () => {
  it('holds for margins and cuts, of a constant that is differentiated too', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(axis, { minLength: 1, maxLength: 4 }),
        fc.constantFrom(17, 18, 21),
        async (axes, opset) => {
          await checkGradient({
            opType: 'Pad',
            opset,
            inputs: [
              { dims: axes.map(({ size }) => size) },
              { ints: [...axes.map(({ before }) => before), ...axes.map(({ after }) => after)] },
              { dims: [] },
            ],
          });
        },
      ),
      { seed: seed('Pad'), numRuns: 40 },
    );
  });

  it('holds where elements are repeated', async () => {
    const modes = fc.constantFrom('edge', 'reflect', 'wrap');
    await fc.assert(
      fc.asyncProperty(fc.array(axis, { minLength: 1, maxLength: 3 }), modes, async (axes, mode) => {
        await checkGradient({
          opType: 'Pad',
          opset: 19,
          inputs: [
            { dims: [2, ...axes.map(({ size }) => size)] },
            { ints: [0, ...axes.map(({ before }) => before), 0, ...axes.map(({ after }) => after)] },
          ],
          attributes: { mode: string(mode) },
        });
      }),
      { seed: seed('Pad, repeated'), numRuns: 40 },
    );
  });

  it('some axes only', () =>
    checkGradient({
      opType: 'Pad',
      opset: 18,
      inputs: [{ dims: [2, 3, 4] }, { ints: [1, 2, 0, 1] }, undefined, { ints: [-1, 1] }],
    }));
});
