import fc from 'fast-check';
import { describe, it } from 'vitest';
import type { Attribute } from '../../src/graph/attribute.js';
import { int, ints, string } from '../../src/graph/attributes.js';
import { checkGradient } from './support/check-gradient.js';
import { seed } from './support/seed.js';

/** An axis whose result has at least one element. */
const axis = fc
  .record({
    size: fc.integer({ min: 2, max: 5 }),
    kernel: fc.integer({ min: 1, max: 3 }),
    stride: fc.integer({ min: 1, max: 3 }),
    dilation: fc.integer({ min: 1, max: 2 }),
    before: fc.integer({ min: 0, max: 2 }),
    after: fc.integer({ min: 0, max: 2 }),
    more: fc.integer({ min: 0, max: 2 }),
  })
  .filter(
    ({ size, kernel, stride, dilation, before, after, more }) =>
      more < stride && stride * (size - 1) + more + dilation * (kernel - 1) + 1 > before + after,
  );

const transposed = fc.record({
  axes: fc.array(axis, { minLength: 1, maxLength: 3 }),
  group: fc.integer({ min: 1, max: 3 }),
  inputs: fc.integer({ min: 1, max: 2 }),
  outputs: fc.integer({ min: 1, max: 2 }),
  hasBias: fc.boolean(),
  form: fc.constantFrom('pads', 'pads', 'SAME_UPPER', 'SAME_LOWER', 'VALID', 'output_shape'),
  opset: fc.constantFrom(17, 21, 22),
});

describe('gradient of ConvTranspose', () => {
  it('holds for every combination of attributes', async () => {
    await fc.assert(
      fc.asyncProperty(transposed, async ({ axes, group, inputs, outputs, hasBias, form, opset }) => {
        const isExplicit = form === 'pads';
        const attributes: Record<string, Attribute> = {
          group: int(group),
          strides: ints(axes.map(({ stride }) => stride)),
          dilations: ints(axes.map(({ dilation }) => dilation)),
          kernel_shape: ints(axes.map(({ kernel }) => kernel)),
        };
        if (isExplicit) {
          attributes['pads'] = ints([...axes.map(({ before }) => before), ...axes.map(({ after }) => after)]);
          attributes['output_padding'] = ints(axes.map(({ more }) => more));
        } else if (form === 'output_shape') {
          const full = axes.map(
            ({ size, stride, kernel, dilation }) => stride * (size - 1) + dilation * (kernel - 1) + 1,
          );
          attributes['output_shape'] = ints(full.map((length, i) => Math.max(1, length - axes[i]!.before)));
        } else {
          attributes['auto_pad'] = string(form);
        }
        const bias = hasBias ? [{ dims: [group * outputs] }] : [];
        await checkGradient({
          opType: 'ConvTranspose',
          opset,
          inputs: [
            { dims: [2, group * inputs, ...axes.map(({ size }) => size)] },
            { dims: [group * inputs, outputs, ...axes.map(({ kernel }) => kernel)] },
            ...bias,
          ],
          attributes,
          tolerance: 4e-3,
        });
      }),
      { seed: seed('ConvTranspose'), numRuns: 60 },
    );
  });
});
