import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Box, Pixels } from '../../src/data/pixels.js';
import { axisWeights, planResampling, resample, type Axis, type Interpolation } from '../../src/data/resample.js';
import { viewOf } from '../../src/data/transform.js';
import { pattern } from './support/images.js';

function hash(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex').slice(0, 16);
}

function whole(width: number, height: number): Box {
  return { left: 0, top: 0, right: width, bottom: height };
}

describe('resampling', () => {
  // Made with Pillow 13.0: Image.fromarray(pattern).crop(box).resize(size, filter), SHA-256 of tobytes().
  const pillow: readonly [number, number, [number, number, number, number], [number, number], Interpolation, string][] =
    [
      [97, 61, [0, 0, 97, 61], [32, 32], 'bilinear', '129a52c14225505f'],
      [97, 61, [0, 0, 97, 61], [32, 32], 'bicubic', 'e8d41c1da1fe5ed4'],
      [97, 61, [10, 5, 80, 60], [48, 40], 'bilinear', 'ceb8b1901e1bcfd8'],
      [97, 61, [10, 5, 80, 60], [48, 40], 'bicubic', 'd018ebba2a87d5cc'],
      [33, 200, [0, 50, 33, 150], [224, 160], 'bilinear', 'c5597509920445be'],
      [33, 200, [0, 50, 33, 150], [224, 160], 'bicubic', '05021cc94a14c42a'],
      [640, 480, [100, 20, 600, 470], [224, 224], 'bilinear', '3a668a056b6e68a1'],
      [1, 1, [0, 0, 1, 1], [7, 5], 'bilinear', '523c41464ee47d61'],
      [300, 2, [0, 0, 300, 2], [3, 3], 'bicubic', 'f9ed04a8c1e0c20f'],
    ];
  it.each(pillow)(
    '%dx%d, box %j to %j, %s, is Pillow bit for bit',
    (width, height, box, size, interpolation, expected) => {
      const [left, top, right, bottom] = box;
      const plan = planResampling({
        interpolation,
        box: { left, top, right, bottom },
        width: size[0],
        height: size[1],
        window: whole(...size),
      });
      expect(hash(resample(pattern(width, height), plan).data)).toBe(expected);
    },
  );

  // Made with torchvision 0.29: CenterCrop(crop)(Resize(resize, antialias=True)(PIL image)).
  const torchvision: readonly [number, number, number, number, string][] = [
    [500, 375, 256, 224, 'cbc9817393370ea7'],
    [375, 500, 256, 224, '9bab08771bcdc9e0'],
    [341, 256, 256, 224, '5c1fc6594792741e'],
    [100, 333, 64, 64, '835efd8e8cef561d'],
    [257, 131, 64, 56, '5dfb360e376907c6'],
    [1024, 683, 232, 224, '4889f64d5854aab2'],
  ];
  it.each(torchvision)(
    '%dx%d, resize %d, crop %d, is torchvision bit for bit',
    (width, height, resize, crop, expected) => {
      const view = viewOf({ kind: 'center-crop', resize, width: crop, height: crop }, width, height, () => 0);
      expect(hash(resample(pattern(width, height), planResampling(view.resampling!)).data)).toBe(expected);
    },
  );

  const side = fc.integer({ min: 1, max: 60 });
  const interpolations = fc.constantFrom<Interpolation>('bilinear', 'bicubic');
  const fraction = fc.double({ min: 0, max: 1, noNaN: true });

  it('equals the definition, for any part of any image', () => {
    const cases = fc.record({
      width: side,
      height: side,
      outputWidth: side,
      outputHeight: side,
      interpolation: interpolations,
      fractions: fc.tuple(fraction, fraction, fraction, fraction, fraction, fraction, fraction, fraction),
    });
    fc.assert(
      fc.property(cases, ({ width, height, outputWidth, outputHeight, interpolation, fractions }) => {
        const [a, b, c, d, e, f, g, h] = fractions;
        const part = (size: number, from: number, to: number): [number, number] => {
          const first = Math.min(size - 1, Math.floor(from * size));
          return [first, first + 1 + Math.floor(to * (size - first - 1))];
        };
        const [left, right] = part(width, a, b);
        const [top, bottom] = part(height, c, d);
        const [windowLeft, windowRight] = part(outputWidth, e, f);
        const [windowTop, windowBottom] = part(outputHeight, g, h);
        const image = pattern(width, height);
        const box = { left, top, right, bottom };
        const window = { left: windowLeft, top: windowTop, right: windowRight, bottom: windowBottom };
        const plan = planResampling({ interpolation, box, width: outputWidth, height: outputHeight, window });
        const region = cut(image, plan.source);
        const actual = resample(region, plan, plan.source);
        const expected = cut(reference(cut(image, box), outputWidth, outputHeight, interpolation), window);
        expect({ ...actual, data: [...actual.data] }).toEqual({ ...expected, data: [...expected.data] });
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it('keeps a constant image constant', () => {
    fc.assert(
      fc.property(
        side,
        side,
        side,
        interpolations,
        fc.integer({ min: 0, max: 255 }),
        (width, height, size, interpolation, value) => {
          const image = { data: new Uint8Array(width * height * 3).fill(value), width, height };
          const box = whole(width, height);
          const plan = planResampling({ interpolation, box, width: size, height: size, window: whole(size, size) });
          expect(new Set(resample(image, plan).data)).toEqual(new Set([value]));
        },
      ),
      { seed: 2, numRuns: 100 },
    );
  });

  it('has weights that sum to one within the rounding of each', () => {
    fc.assert(
      fc.property(side, side, interpolations, (size, outputSize, interpolation) => {
        const { weights, counts, taps } = axisWeights(interpolation, wholeAxis(size, outputSize));
        for (const [output, count] of counts.entries()) {
          const sum = weights
            .subarray(output * taps, output * taps + count)
            .reduce((total, weight) => total + weight, 0);
          // Each of the weights is rounded to 2⁻²².
          expect(Math.abs(sum - 2 ** 22)).toBeLessThanOrEqual(count);
        }
      }),
      { seed: 3, numRuns: 100 },
    );
  });

  it('takes an image of 24 megapixels, and small ones after it', () => {
    const image = pattern(6000, 4000);
    const plan = planResampling({
      interpolation: 'bilinear',
      box: whole(6000, 4000),
      width: 2,
      height: 2,
      window: whole(2, 2),
    });
    // Over so many pixels the periods of the pattern average out: (0 + 255) / 2, and the green corner products as well.
    const [red] = resample(image, plan).data;
    expect(Math.abs(red! - 127.5)).toBeLessThan(2);
    const small = planResampling({
      interpolation: 'bilinear',
      box: whole(8, 8),
      width: 8,
      height: 8,
      window: whole(8, 8),
    });
    expect([...resample(pattern(8, 8), small).data]).toEqual([...pattern(8, 8).data]);
  });
});

function cut({ data, width }: Pixels, { left, top, right, bottom }: Box): Pixels {
  const part = new Uint8Array((right - left) * (bottom - top) * 3);
  for (let y = top; y < bottom; y++) {
    part.set(data.subarray((y * width + left) * 3, (y * width + right) * 3), (y - top) * (right - left) * 3);
  }
  return { data: part, width: right - left, height: bottom - top };
}

function wholeAxis(size: number, outputSize: number): Axis {
  return { first: 0, last: size, from: 0, to: size, outputSize, outputFirst: 0, outputCount: outputSize };
}

/** The definition, one sum per output: one axis, rounded, then the other. */
function reference(image: Pixels, width: number, height: number, interpolation: Interpolation): Pixels {
  const isVerticalFirst = height < image.height && image.height - height > 2 * (image.width - width);
  return isVerticalFirst
    ? filterWidth(transpose(filterWidth(transpose(image), height, interpolation)), width, interpolation)
    : transpose(filterWidth(transpose(filterWidth(image, width, interpolation)), height, interpolation));
}

function filterWidth({ data, width, height }: Pixels, outputs: number, interpolation: Interpolation): Pixels {
  const { starts, counts, weights, taps } = axisWeights(interpolation, wholeAxis(width, outputs));
  const result = new Uint8Array(outputs * height * 3);
  for (let index = 0; index < result.length; index++) {
    const channel = index % 3;
    const output = ((index - channel) / 3) % outputs;
    const y = Math.floor(index / (3 * outputs));
    let sum = 2 ** 21;
    for (let k = 0; k < counts[output]!; k++) {
      sum += weights[output * taps + k]! * data[(y * width + starts[output]! + k) * 3 + channel]!;
    }
    result[index] = Math.min(255, Math.max(0, Math.floor(sum / 2 ** 22)));
  }
  return { data: result, width: outputs, height };
}

function transpose({ data, width, height }: Pixels): Pixels {
  const result = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      result.set(data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3), (x * height + y) * 3);
    }
  }
  return { data: result, width: height, height: width };
}
