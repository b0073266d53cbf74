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

/** onnxruntime refuses SAME_* where the stride is larger than the window. */
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
      { seed: seed('AveragePool'), numRuns: 70 },
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

describe('gradients of the other pools', () => {
  it('LpPool holds for every combination of attributes', async () => {
    await fc.assert(
      fc.asyncProperty(pool.filter(fits), fc.integer({ min: 1, max: 3 }), async (one, p) => {
        const opset = Math.max(18, one.opset);
        const attributes = { ...attributesOf(one, true), p: int(p) };
        const dims = [2, 2, ...one.axes.map(({ size }) => size)];
        const size = dims.reduce((product, dim) => product * dim, 1);
        // Away from 0, where |x| has no derivative.
        const values = Array.from({ length: size }, (_, i) => (i % 3 === 0 ? -1 : 1) * (0.3 + ((i * 13) % 17) / 12));
        await checkGradient({ opType: 'LpPool', opset, inputs: [{ values, dims }], attributes });
      }),
      { seed: seed('LpPool'), numRuns: 40 },
    );
  });

  it.each([1, 2, 3])('GlobalLpPool, p = %i', (p) => {
    const values = Array.from({ length: 24 }, (_, i) => (i % 2 ? -1 : 1) * (0.3 + ((i * 13) % 17) / 12));
    return checkGradient({
      opType: 'GlobalLpPool',
      inputs: [{ values, dims: [2, 3, 2, 2] }],
      attributes: { p: int(p) },
    });
  });

  it.each([[[2, 3, 4]], [[2, 3, 3, 4]], [[3, 2, 2, 2, 2]]])('GlobalMaxPool of %j', (dims) =>
    checkGradient({ opType: 'GlobalMaxPool', inputs: [distinct(dims)], step: 4e-2 }),
  );
});

describe('ties go to the first maximum of a window, as in PyTorch', () => {
  const expected = (winners: readonly number[]): number[] => {
    const gradient = Array.from({ length: 16 }, () => 0);
    for (const winner of winners) gradient[winner]!++;
    return gradient;
  };
  const x = { values: [1, 1, 0, 1, 2, 1, 2, 2, 0, 2, 2, 1, 1, 0, 1, 1], dims: [1, 1, 4, 4] };

  // The winners are those of torch.nn.functional.max_pool2d(…, return_indices=True), torch 2.15.
  it('MaxPool, overlapping windows', () =>
    checkGradient({
      opType: 'MaxPool',
      inputs: [x],
      attributes: { kernel_shape: ints([3, 3]) },
      expected: [expected([4, 6, 4, 6])],
    }));

  it('MaxPool, padded', () =>
    checkGradient({
      opType: 'MaxPool',
      inputs: [x],
      attributes: { kernel_shape: ints([2, 2]), strides: ints([2, 2]), pads: ints([1, 1, 1, 1]) },
      expected: [expected([0, 1, 3, 4, 6, 7, 12, 14, 15])],
    }));

  it('GlobalMaxPool', () => checkGradient({ opType: 'GlobalMaxPool', inputs: [x], expected: [expected([4])] }));
});
