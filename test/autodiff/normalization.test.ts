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

const layer = fc
  .record({
    dims: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
    axis: fc.integer({ min: -4, max: 3 }),
    hasBias: fc.boolean(),
    outputs: fc.integer({ min: 1, max: 3 }),
  })
  // Of three elements and more: of one or two the normalized ones do not depend on x, or only by epsilon.
  .filter(
    ({ dims, axis }) => axis >= -dims.length && axis < dims.length && dims.slice(axis).reduce((a, b) => a * b) > 2,
  );

describe('gradients of the layer normalizations', () => {
  it('LayerNormalization', async () => {
    await fc.assert(
      fc.asyncProperty(layer, fc.constantFrom(17, 18, 21), async ({ dims, axis, hasBias, outputs }, opset) => {
        const rest = { dims: dims.slice(axis) };
        await checkGradient({
          opType: 'LayerNormalization',
          opset,
          inputs: [{ dims }, rest, ...(hasBias ? [rest] : [])],
          attributes: { axis: int(axis), epsilon: float(1e-2) },
          outputs,
        });
      }),
      { seed: seed('LayerNormalization'), numRuns: 40 },
    );
  });

  it.each([
    ['RMSNormalization', 23],
    ['SimplifiedLayerNormalization', 17],
  ])('%s', async (opType, opset) => {
    await fc.assert(
      fc.asyncProperty(layer, async ({ dims, axis }) => {
        await checkGradient({
          opType,
          opset,
          inputs: [{ dims }, { dims: dims.slice(axis) }],
          attributes: { axis: int(axis), epsilon: float(1e-2) },
        });
      }),
      { seed: seed(opType), numRuns: 15 },
    );
  });

  it.each([1, 4])('SkipLayerNormalization, %i outputs', async (outputs) => {
    const x = { dims: [2, 3, 5] };
    for (const inputs of [[], [{ dims: [5] }], [{ dims: [5] }, { dims: [5] }], [undefined, { dims: [5] }]]) {
      await checkGradient({
        opType: 'SkipLayerNormalization',
        domain: 'com.microsoft',
        inputs: [x, x, { dims: [5] }, ...inputs],
        outputs,
        attributes: { epsilon: float(1e-3) },
        read: outputs === 1 ? [0] : [0, 3],
      });
    }
  });

  it.each([1, 4])('SkipSimplifiedLayerNormalization, %i outputs', async (outputs) => {
    const x = { dims: [2, 3, 5] };
    for (const inputs of [[], [{ dims: [5] }]]) {
      await checkGradient({
        opType: 'SkipSimplifiedLayerNormalization',
        domain: 'com.microsoft',
        inputs: [x, x, { dims: [5] }, ...inputs],
        outputs,
        attributes: { epsilon: float(1e-3) },
        read: outputs === 1 ? [0] : [0, 3],
      });
    }
  });

  it.each([[[3, 4, 5]], [[2, 3, 2, 3]], [[2, 1, 2, 2, 2]]])('InstanceNormalization of %j', async (dims) => {
    const vector = { dims: [dims[1]!] };
    await checkGradient({
      opType: 'InstanceNormalization',
      inputs: [{ dims }, vector, vector],
      attributes: { epsilon: float(1e-3) },
    });
  });

  it.each([
    [18, 2, [2, 4, 3, 3]],
    [18, 3, [2, 6, 5]],
    [21, 2, [2, 4, 3, 3]],
    [21, 1, [3, 3, 4]],
    [21, 6, [2, 6, 2, 2]],
  ])('GroupNormalization, opset %i, %i groups of %j', async (opset, groups, dims) => {
    const vector = { dims: [opset < 21 ? groups : dims[1]!] };
    await checkGradient({
      opType: 'GroupNormalization',
      opset,
      inputs: [{ dims }, vector, vector],
      attributes: { num_groups: int(groups), epsilon: float(1e-3) },
    });
  });
});
