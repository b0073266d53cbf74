import fc from 'fast-check';
import { describe, it } from 'vitest';
import type { Attribute } from '../../src/graph/attribute.js';
import { int, ints, string } from '../../src/graph/attributes.js';
import { checkGradient } from './support/check-gradient.js';
import { seed } from './support/seed.js';

interface Axis {
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
  readonly after: number;
}

/** An axis whose window fits; pads may be larger than the window's reach. */
const axis: fc.Arbitrary<Axis> = fc
  .record({
    size: fc.integer({ min: 3, max: 7 }),
    kernel: fc.integer({ min: 1, max: 3 }),
    stride: fc.integer({ min: 1, max: 3 }),
    dilation: fc.integer({ min: 1, max: 2 }),
    before: fc.integer({ min: 0, max: 3 }),
    after: fc.integer({ min: 0, max: 3 }),
  })
  .filter(({ size, kernel, dilation, before, after }) => size + before + after >= dilation * (kernel - 1) + 1);

const convolution = fc.record({
  axes: fc.array(axis, { minLength: 1, maxLength: 3 }),
  batch: fc.integer({ min: 2, max: 3 }),
  group: fc.integer({ min: 1, max: 3 }),
  inputs: fc.integer({ min: 1, max: 3 }),
  outputs: fc.integer({ min: 1, max: 2 }),
  hasBias: fc.boolean(),
  autoPad: fc.constantFrom('NOTSET', 'NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'),
  opset: fc.constantFrom(17, 18, 21, 22),
});

describe('gradient of Conv', () => {
  it('holds for every combination of attributes', async () => {
    await fc.assert(
      fc.asyncProperty(convolution, async ({ axes, batch, group, inputs, outputs, hasBias, autoPad, opset }) => {
        // onnxruntime refuses dilations with SAME_*; kernels of 3 fit the smallest axis without pads.
        const fitting = axes.map((one) => (autoPad === 'NOTSET' ? one : { ...one, dilation: 1 }));
        const attributes: Record<string, Attribute> = {
          group: int(group),
          strides: ints(fitting.map(({ stride }) => stride)),
          dilations: ints(fitting.map(({ dilation }) => dilation)),
          kernel_shape: ints(fitting.map(({ kernel }) => kernel)),
        };
        if (autoPad === 'NOTSET') {
          attributes['pads'] = ints([...fitting.map(({ before }) => before), ...fitting.map(({ after }) => after)]);
        } else {
          attributes['auto_pad'] = string(autoPad);
        }
        const x = { dims: [batch, group * inputs, ...fitting.map(({ size }) => size)] };
        const w = { dims: [group * outputs, inputs, ...fitting.map(({ kernel }) => kernel)] };
        const bias = hasBias ? [{ dims: [group * outputs] }] : [];
        await checkGradient({ opType: 'Conv', opset, inputs: [x, w, ...bias], attributes, tolerance: 4e-3 });
      }),
      { seed: seed('Conv'), numRuns: 60 },
    );
  });

  it('many channels: one product per tap', () =>
    checkGradient({
      opType: 'Conv',
      inputs: [{ dims: [2, 34, 5, 6] }, { dims: [6, 17, 3, 2] }],
      attributes: { group: int(2), pads: ints([1, 0, 1, 1]), strides: ints([2, 1]) },
      tolerance: 4e-3,
    }));
});
