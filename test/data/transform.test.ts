import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NORMALIZATIONS, imageWriter, type Normalization, normalizationTable } from '../../src/data/normalize.js';
import { drawsOf } from '../../src/data/order.js';
import {
  checkTransform,
  shorterSide,
  viewOf,
  wordsPerView,
  type Draw,
  type Transform,
} from '../../src/data/transform.js';
import { failureOf } from '../support/errors.js';
import { pattern } from './support/images.js';

const tablesOf = (colors: Normalization): [Float32Array, Float32Array, Float32Array] =>
  normalizationTable(colors) as [Float32Array, Float32Array, Float32Array];

/** A sequence of numbers, and how many were taken. */
function counted(draw: Draw): { readonly draw: Draw; count: number } {
  const state = {
    count: 0,
    draw: () => {
      state.count += 1;
      return draw();
    },
  };
  return state;
}

describe('RandomResizedCrop', () => {
  const transform: Transform = { kind: 'random-resized-crop', width: 16, height: 16 };

  it('stays inside the image, within its scale and ratio or at the fallback, with few numbers', () => {
    const side = fc.integer({ min: 1, max: 3000 });
    fc.assert(
      fc.property(side, side, fc.integer({ min: 0, max: 1e6 }), (width, height, index) => {
        const state = counted(drawsOf(1, 0)(index));
        const { box } = viewOf(transform, width, height, state.draw).resampling!;
        expect(state.count).toBeLessThanOrEqual(wordsPerView);
        expect([box.left, box.top, box.right, box.bottom].every(Number.isInteger)).toBe(true);
        expect(box.left).toBeGreaterThanOrEqual(0);
        expect(box.top).toBeGreaterThanOrEqual(0);
        expect(box.right).toBeLessThanOrEqual(width);
        expect(box.bottom).toBeLessThanOrEqual(height);
        expect(box.right).toBeGreaterThan(box.left);
        expect(box.bottom).toBeGreaterThan(box.top);
      }),
      { seed: 4, numRuns: 1000 },
    );
  });

  it('has the mean area of its law and flips half of the images', () => {
    // On a square image of 1000², ratio 3/4 … 4/3: a box of area s and ratio r fits where s ≤ min(r, 1/r). By rejection the
    // area is uniform on what fits; its mean by numerical integration over log r and s.
    let mass = 0;
    let moment = 0;
    const steps = 2000;
    for (let i = 0; i < steps; i++) {
      const ratio = Math.exp(Math.log(3 / 4) + ((i + 0.5) / steps) * Math.log(16 / 9));
      const most = Math.min(1, ratio, 1 / ratio);
      mass += most - 0.08;
      moment += (most ** 2 - 0.08 ** 2) / 2;
    }
    const count = 20_000;
    let area = 0;
    let flips = 0;
    for (let index = 0; index < count; index++) {
      const view = viewOf(transform, 1000, 1000, drawsOf(7, 3)(index));
      const { left, top, right, bottom } = view.resampling!.box;
      area += ((right - left) * (bottom - top)) / 1e6 / count;
      flips += view.isFlipped ? 1 : 0;
    }
    // The area's deviation is below 0.25: four standard errors are 4 · 0.25 / √20000 = 0.0071.
    expect(Math.abs(area - moment / mass)).toBeLessThan(0.0071);
    // Four standard errors of a fair coin: 4 · 0.5 · √20000 = 283.
    expect(Math.abs(flips - count / 2)).toBeLessThan(283);
  });

  it('falls back to the largest central box of an allowed ratio', () => {
    // torchvision: RandomResizedCrop.get_params on 1000×10 and 10×1000 after ten tries.
    const [wide, tall] = [viewOf(transform, 1000, 10, () => 0.99), viewOf(transform, 10, 1000, () => 0.99)];
    expect(wide.resampling!.box).toEqual({ left: 493, top: 0, right: 506, bottom: 10 });
    expect(tall.resampling!.box).toEqual({ left: 0, top: 493, right: 10, bottom: 506 });
  });
});

describe('other transforms', () => {
  it('resizes the shorter side as torchvision does', () => {
    expect(shorterSide(500, 375, 256)).toEqual({ width: 341, height: 256 });
    expect(shorterSide(375, 500, 256)).toEqual({ width: 256, height: 341 });
    expect(shorterSide(1, 1000, 4)).toEqual({ width: 4, height: 4000 });
  });

  it('crops the center, rounding half to even, and pads what is missing with black', () => {
    const view = viewOf({ kind: 'center-crop', resize: 32, width: 40, height: 40 }, 30, 50, () => 0);
    // 32 × 53: nothing to cut at the sides, where (32 − 40) / 2 = −4; (53 − 40) / 2 = 6.5 becomes 6.
    expect(view).toMatchObject({ left: 4, top: 0 });
    expect(view.resampling!.window).toEqual({ left: 0, top: 6, right: 32, bottom: 46 });
  });

  it('shifts a padded image by up to the padding', () => {
    const transform: Transform = { kind: 'padded-crop', width: 32, height: 32, padding: 4 };
    const seen = new Set<number>();
    for (let index = 0; index < 2000; index++) {
      const { left, resampling } = viewOf(transform, 32, 32, drawsOf(0, 0)(index));
      const { window } = resampling!;
      expect(window.right - window.left + left + (window.left > 0 ? window.left : 0)).toBeLessThanOrEqual(36);
      seen.add(window.left - left);
    }
    expect([...seen].toSorted((a, b) => a - b)).toEqual([-4, -3, -2, -1, 0, 1, 2, 3, 4]);
  });

  it('shifts an image that is smaller than the output around its middle, and leaves its pixels', () => {
    const transform: Transform = { kind: 'padded-crop', width: 32, height: 32, padding: 2, resize: 28 };
    const seen = new Set<number>();
    for (let index = 0; index < 200; index++) {
      const { left, top, resampling } = viewOf(transform, 28, 28, drawsOf(0, 0)(index));
      expect(resampling).toMatchObject({ width: 28, height: 28, window: { left: 0, top: 0, right: 28, bottom: 28 } });
      for (const shift of [left, top]) seen.add(shift);
    }
    expect([...seen].toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4]);
  });

  it.each([
    [{ kind: 'stretch', width: 0, height: 4 }, '0x4'],
    [{ kind: 'center-crop', resize: 0.5, width: 4, height: 4 }, '0.5'],
    [{ kind: 'random-resized-crop', width: 4, height: 4, scale: [0, 1] }, 'scale'],
    [{ kind: 'random-resized-crop', width: 4, height: 4, ratio: [2, 1] }, 'ratio'],
    [{ kind: 'random-resized-crop', width: 4, height: 4, flip: 1.5 }, '1.5'],
    [{ kind: 'padded-crop', width: 4, height: 4, padding: -1 }, 'padding'],
    [{ kind: 'padded-crop', width: 4, height: 4, resize: 0 }, 'resized to 0'],
  ] as const)('refuses %j', async (transform, part) => {
    const failure = await failureOf('USAGE', () => checkTransform(transform));
    expect(failure.fact).toContain(part);
  });
});

describe('normalization', () => {
  it('computes in float32 as torchvision does', () => {
    // Normalize(mean, std)(ToDtype(float32, scale=True)(x)) for x = 0, 128, 255, printed with 9 digits by torchvision 0.29.
    const [red, green, blue] = tablesOf(NORMALIZATIONS.imagenet);
    expect([red[0], green[0], blue[0]]).toEqual([-2.11790395, -2.03571415, -1.80444443].map(Math.fround));
    expect([red[128], green[128], blue[128]]).toEqual([0.0740646273, 0.205182195, 0.426492572].map(Math.fround));
    expect([red[255], green[255], blue[255]]).toEqual([2.24890828, 2.42857146, 2.6400001].map(Math.fround));
    expect(tablesOf(NORMALIZATIONS.none)[1][200]).toBeCloseTo(200, 4);
  });

  it('puts every pixel into its place, in both layouts, flipped or not, and fills the rest with black', () => {
    const pixels = { data: Uint8Array.from({ length: 2 * 1 * 3 }, (_, index) => 10 + index), width: 2, height: 1 };
    const view = { width: 3, height: 2, resampling: undefined, left: 1, top: 1, mayReduce: false };
    const write = (layout: 'nhwc' | 'nchw', isFlipped: boolean): number[] => {
      const target = new Uint8Array(18).fill(99);
      imageWriter({ type: 'uint8', layout, normalization: NORMALIZATIONS.unit })(
        pixels,
        { ...view, isFlipped },
        target,
      );
      return [...target];
    };
    expect(write('nhwc', false)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 11, 12, 13, 14, 15]);
    expect(write('nhwc', true)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 14, 15, 10, 11, 12, 0, 0, 0]);
    expect(write('nchw', false)).toEqual([0, 0, 0, 0, 10, 13, 0, 0, 0, 0, 11, 14, 0, 0, 0, 0, 12, 15]);
    expect(write('nchw', true)).toEqual([0, 0, 0, 13, 10, 0, 0, 0, 0, 14, 11, 0, 0, 0, 0, 15, 12, 0]);
    const black = new Float32Array(18);
    imageWriter({ type: 'float32', layout: 'nchw', normalization: NORMALIZATIONS.imagenet })(
      undefined,
      { ...view, isFlipped: false },
      black,
    );
    expect(black[0]).toBe(Math.fround(Math.fround(0 - Math.fround(0.485)) / Math.fround(0.229)));
  });

  it('gives float32 images the values of the tables where bytes would be, for any size, layout and flip', () => {
    const tables = tablesOf(NORMALIZATIONS.imagenet);
    const cases = fc.record({
      width: fc.integer({ min: 1, max: 40 }),
      height: fc.integer({ min: 1, max: 40 }),
      layout: fc.constantFrom('nhwc', 'nchw'),
      isFlipped: fc.boolean(),
    });
    fc.assert(
      fc.property(cases, ({ width, height, layout, isFlipped }) => {
        const pixels = pattern(width, height);
        const view = { width, height, resampling: undefined, left: 0, top: 0, mayReduce: false, isFlipped };
        const count = width * height * 3;
        const [bytes, floats] = [new Uint8Array(count), new Float32Array(count)];
        const normalization = NORMALIZATIONS.imagenet;
        imageWriter({ type: 'uint8', layout, normalization })(pixels, view, bytes);
        imageWriter({ type: 'float32', layout, normalization })(pixels, view, floats);
        const channel = (at: number): number => (layout === 'nhwc' ? at % 3 : Math.floor(at / (width * height)));
        expect([...floats]).toEqual(Array.from(bytes, (value, at) => tables[channel(at) as 0 | 1 | 2][value]));
      }),
      { seed: 6, numRuns: 100 },
    );
  });
});
