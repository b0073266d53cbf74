import fc from 'fast-check';
import { describe, it } from 'vitest';
import type { Attribute } from '../../src/graph/attribute.js';
import { float, int, ints, string } from '../../src/graph/attributes.js';
import { checkGradient, type Input } from './support/check-gradient.js';
import { seed } from './support/seed.js';

const transformations = [
  'half_pixel',
  'pytorch_half_pixel',
  'asymmetric',
  'align_corners',
  'half_pixel_symmetric',
] as const;

const resized = fc.record({
  sizes: fc.tuple(fc.integer({ min: 2, max: 6 }), fc.integer({ min: 2, max: 6 })),
  scales: fc.tuple(fc.constantFrom(0.5, 0.6, 1, 1.5, 2, 2.7, 3), fc.constantFrom(0.5, 0.75, 1, 1.3, 2, 3)),
  by: fc.constantFrom('scales', 'sizes', 'axes', 'not_larger', 'not_smaller'),
  transformation: fc.constantFrom(...transformations),
  nearest: fc.constantFrom('round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'),
  opset: fc.constantFrom(18, 19, 21),
});

describe.each(['nearest', 'linear', 'cubic'])('gradient of Resize, %s', (mode) => {
  it('holds for every combination of attributes', async () => {
    await fc.assert(
      fc.asyncProperty(resized, fc.boolean(), async (one, excludesOutside) => {
        const { sizes, scales, by, transformation, nearest } = one;
        const opset = transformation === 'half_pixel_symmetric' ? Math.max(19, one.opset) : one.opset;
        const attributes: Record<string, Attribute> = {
          mode: string(mode),
          coordinate_transformation_mode: string(transformation),
        };
        if (mode === 'nearest') attributes['nearest_mode'] = string(nearest);
        if (mode === 'cubic') {
          attributes['exclude_outside'] = int(excludesOutside ? 1 : 0);
          attributes['cubic_coeff_a'] = float(excludesOutside ? -0.5 : -0.75);
        }
        const target = sizes.map((size, i) => Math.max(1, Math.round(size * scales[i]!)));
        const floats = (values: readonly number[]): Input => ({ floats: values });
        const inputs: Record<string, Input[]> = {
          scales: [undefined, floats([1, 1, ...scales])],
          sizes: [undefined, undefined, { ints: [2, 3, ...target] }],
          axes: [undefined, floats(scales)],
          not_larger: [undefined, undefined, { ints: target }],
          not_smaller: [undefined, undefined, { ints: target }],
        };
        if (by === 'axes' || by.startsWith('not_')) attributes['axes'] = ints([2, 3]);
        if (by.startsWith('not_')) attributes['keep_aspect_ratio_policy'] = string(by);
        await checkGradient({
          opType: 'Resize',
          opset,
          inputs: [{ dims: [2, 3, ...sizes] }, ...inputs[by]!],
          attributes,
        });
      }),
      { seed: seed(`Resize ${mode}`), numRuns: 60 },
    );
  });

  it('opset 17, one or three spatial axes', async () => {
    if (mode === 'cubic') return;
    for (const spatial of mode === 'linear' ? [[3, 2, 4]] : [[5], [3, 2, 4]]) {
      const scales = { floats: [1, 1, ...spatial.map(() => 2)] };
      await checkGradient({
        opType: 'Resize',
        inputs: [{ dims: [2, 2, ...spatial] }, undefined, scales],
        attributes: { mode: string(mode) },
      });
    }
  });
});

describe('gradient of LRN', () => {
  // onnxruntime takes odd sizes only.
  it.each([1, 3, 5])('size %i', (size) =>
    checkGradient({
      opType: 'LRN',
      inputs: [{ dims: [2, 6, 3, 2] }],
      attributes: { size: int(size), alpha: float(0.7), beta: float(0.6), bias: float(1.5) },
    }),
  );
});
