import fc from 'fast-check';
import { describe, it } from 'vitest';
import type { Attribute } from '../../src/graph/attribute.js';
import { int, ints, string } from '../../src/graph/attributes.js';
import { checkGradient } from './support/check-gradient.js';
import { distinct } from './support/distinct.js';
import { seed } from './support/seed.js';

/** Pads are less than the kernel, as pools want them. */
const axis = fc
  .record({
    size: fc.integer({ min: 3, max: 8 }),
    kernel: fc.integer({ min: 1, max: 4 }),
    stride: fc.integer({ min: 1, max: 3 }),
    dilation: fc.integer({ min: 1, max: 2 }),
    before: fc.integer({ min: 0, max: 2 }),
    after: fc.integer({ min: 0, max: 2 }),
  })
  .filter(
    ({ size, kernel, dilation, before, after }) =>
      Math.max(before, after) < kernel && size + before + after >= dilation * (kernel - 1) + 1,
  );

const pool = fc.record({
  axes: fc.array(axis, { minLength: 1, maxLength: 3 }),
  isCeil: fc.boolean(),
  countsPad: fc.boolean(),
  autoPad: fc.constantFrom('NOTSET', 'NOTSET', 'NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'),
  opset: fc.constantFrom(17, 18, 19, 21, 22),
});

type Pool = typeof pool extends fc.Arbitrary<infer T> ? T : never;

function attributesOf({ axes, isCeil, autoPad }: Pool, isDilated: boolean): Record<string, Attribute> {
  const attributes: Record<string, Attribute> = {
    kernel_shape: ints(axes.map(({ kernel }) => kernel)),
    strides: ints(axes.map(({ stride }) => stride)),
  };
  if (isCeil) attributes['ceil_mode'] = int(1);
  if (isDilated && autoPad === 'NOTSET') attributes['dilations'] = ints(axes.map(({ dilation }) => dilation));
  if (autoPad === 'NOTSET') {
    attributes['pads'] = ints([...axes.map(({ before }) => before), ...axes.map(({ after }) => after)]);
  } else {
    attributes['auto_pad'] = string(autoPad);
  }
  return attributes;
}

const fits = ({ axes, autoPad }: Pool): boolean =>
  autoPad === 'NOTSET' || axes.every(({ kernel, stride, size }) => kernel >= stride && kernel <= size);

describe('gradient of AveragePool', () => {
  it('holds for every combination of attributes', async () => {
    await fc.assert(
      fc.asyncProperty(pool.filter(fits), async (one) => {
        const attributes = attributesOf(one, one.opset >= 19);
        if (one.countsPad) attributes['count_include_pad'] = int(1);
        const inputs = [{ dims: [2, 3, ...one.axes.map(({ size }) => size)] }];
        await checkGradient({ opType: 'AveragePool', opset: one.opset, inputs, attributes });
      }),
      { seed: seed('AveragePool'), numRuns: 100 },
    );
  });

  it('GlobalAveragePool', () => checkGradient({ opType: 'GlobalAveragePool', inputs: [{ dims: [2, 3, 4, 5] }] }));
});

describe('gradient of MaxPool', () => {
  it('holds for every combination of attributes', async () => {
    await fc.assert(
      fc.asyncProperty(pool.filter(fits), async (one) => {
        const attributes = attributesOf(one, true);
        const dims = [2, 2, ...one.axes.map(({ size }) => size)];
        await checkGradient({
          opType: 'MaxPool',
          opset: one.opset,
          inputs: [distinct(dims)],
          attributes,
          outputs: one.countsPad ? 2 : 1,
          step: 4e-2,
        });
      }),
      { seed: seed('MaxPool'), numRuns: 60 },
    );
  });
});
