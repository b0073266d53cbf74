import { describe, expect, it } from 'vitest';
import { defaultRecipe, pictureDrawer } from '../../src/data/dead-leaves.js';
import { inverseTransform } from '../../src/data/fourier.js';
import { fieldSide, pinkFields } from '../../src/data/pink-noise.js';
import { fillEllipse, fillPolygon, type Point } from '../../src/data/shapes.js';

const whole = { ...defaultRecipe, crop: [1, 1] as const, smallCrop: [1, 1] as const };

/** Means, deviations and correlation of the first two channels over many pictures. */
function moments(pictures: readonly Uint8Array[], channels: number) {
  const values = Array.from({ length: channels }, (_, channel) =>
    pictures.flatMap((picture) => Array.from(picture).filter((__, at) => at % channels === channel)),
  );
  const meanOf = (list: readonly number[]): number => list.reduce((sum, value) => sum + value, 0) / list.length;
  const means = values.map(meanOf);
  const covariance = (a: number, b: number): number =>
    meanOf(values[a]!.map((value, at) => (value - means[a]!) * (values[b]![at]! - means[b]!)));
  const deviations = values.map((_, channel) => Math.sqrt(covariance(channel, channel)));
  const correlation = channels > 1 ? covariance(0, 1) / (deviations[0]! * deviations[1]!) : 1;
  return { means, deviations, correlation };
}

/** Discrete Fourier transform by its definition. */
function slowTransform(real: Float64Array, imaginary: Float64Array, side: number): number[] {
  const result: number[] = [];
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      let sum = 0;
      for (let v = 0; v < side; v++) {
        for (let u = 0; u < side; u++) {
          const angle = (2 * Math.PI * (v * y + u * x)) / side;
          sum += real[v * side + u]! * Math.cos(angle) - imaginary[v * side + u]! * Math.sin(angle);
        }
      }
      result.push(sum);
    }
  }
  return result;
}

describe('the Fourier transform', () => {
  it('is that of its definition', () => {
    const side = 8;
    const real = Float64Array.from({ length: 64 }, (_, i) => Math.sin(i * i));
    const imaginary = Float64Array.from({ length: 64 }, (_, i) => Math.cos(3 * i));
    const expected = slowTransform(real, imaginary, side);
    inverseTransform({ side, real, imaginary });
    expected.forEach((value, at) => expect(real[at]).toBeCloseTo(value, 9));
  });
});

describe('pink noise', () => {
  it('has mean 0, deviation 1, and a variance of differences that grows with the distance as the spectrum says', () => {
    const fields = pinkFields(3, 1.1, 8);
    expect(fields).toHaveLength(8);
    for (const field of fields) {
      const mean = field.reduce((sum, value) => sum + value, 0) / field.length;
      const square = field.reduce((sum, value) => sum + value * value, 0) / field.length;
      expect(mean).toBeCloseTo(0, 5);
      expect(square).toBeCloseTo(1, 4);
    }
    // Amplitudes f^−1.1: energy in the octave around f is proportional to f^(2 − 2.2).
    const octave = (frequency: number): number => {
      let energy = 0;
      for (const field of fields) {
        for (let row = 0; row < fieldSide; row += 16) {
          let [re, im] = [0, 0];
          for (let x = 0; x < fieldSide; x++) {
            const angle = (2 * Math.PI * frequency * x) / fieldSide;
            re += field[row * fieldSide + x]! * Math.cos(angle);
            im += field[row * fieldSide + x]! * Math.sin(angle);
          }
          energy += re * re + im * im;
        }
      }
      return energy;
    };
    // Of one row, all vertical frequencies together: Σᵥ (u² + v²)^−1.1 is proportional to u^−1.2.
    const [low, high] = [octave(3) + octave(4) + octave(5), octave(24) + octave(32) + octave(40)];
    const slope = Math.log(low / high) / Math.log(8);
    expect(slope).toBeGreaterThan(0.9);
    expect(slope).toBeLessThan(1.6);
  });
});

describe('shapes', () => {
  const covered = (draw: (span: (y: number, first: number, last: number) => void) => void): Set<number> => {
    const pixels = new Set<number>();
    draw((y, first, last) => {
      for (let x = first; x < last; x++) pixels.add(y * 40 + x);
    });
    return pixels;
  };

  it('cover the pixels whose centers lie in them, on the canvas only', () => {
    const [angle, a, b] = [0.7, 15, 6];
    const center: Point = [33.3, 12.1];
    const inside = (x: number, y: number): boolean => {
      const [dx, dy] = [x + 0.5 - center[0], y + 0.5 - center[1]];
      const along = dx * Math.cos(angle) + dy * Math.sin(angle);
      const across = dy * Math.cos(angle) - dx * Math.sin(angle);
      return (along / a) ** 2 + (across / b) ** 2 <= 1;
    };
    const pixels = covered((span) => {
      fillEllipse(center, a, b, angle, 40, span);
    });
    for (let y = 0; y < 40; y++) for (let x = 0; x < 40; x++) expect(pixels.has(y * 40 + x)).toBe(inside(x, y));
  });

  it('have straight edges', () => {
    const triangle: readonly Point[] = [
      [-5, 10],
      [30.2, 3.4],
      [22, 50],
    ];
    const side = ([x0, y0]: Point, [x1, y1]: Point, x: number, y: number): number =>
      (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0);
    const pixels = covered((span) => {
      fillPolygon(triangle, 40, span);
    });
    for (let y = 0; y < 40; y++) {
      for (let x = 0; x < 40; x++) {
        const isInside = triangle.every((point, k) => side(point, triangle[(k + 1) % 3]!, x + 0.5, y + 0.5) > 0);
        expect(pixels.has(y * 40 + x)).toBe(isInside);
      }
    }
  });
});

describe('dead leaves', () => {
  it('are a function of seed and index, in whatever order they are drawn', () => {
    const size = { width: 32, height: 32, channels: 3 };
    const drawer = pictureDrawer(7);
    const [first, second] = [drawer.draw(0, size), drawer.draw(1, size)];
    expect(first).not.toEqual(second);
    expect(pictureDrawer(7).draw(1, size)).toEqual(second);
    expect(drawer.draw(0, size)).toEqual(first);
    expect(pictureDrawer(8).draw(0, size)).not.toEqual(first);
  });

  it.each([
    [28, 28, 1],
    [32, 32, 3],
    [224, 224, 3],
    [192, 48, 3],
    [20, 64, 4],
    [33, 17, 7],
  ])('come in %i × %i pixels of %i channels', (width, height, channels) => {
    const picture = pictureDrawer(0).draw(2, { width, height, channels });
    expect(picture).toHaveLength(width * height * channels);
    const { deviations, correlation } = moments([picture], channels);
    for (const deviation of deviations) expect(deviation).toBeGreaterThan(5);
    expect(correlation).toBeGreaterThan(0.2);
  });

  it('have about the brightness, contrast and colors of natural images', () => {
    const drawer = pictureDrawer(0, whole);
    const pictures = Array.from({ length: 64 }, (_, index) =>
      drawer.draw(index, { width: 50, height: 50, channels: 3 }),
    );
    const { means, deviations, correlation } = moments(pictures, 3);
    for (const mean of means) expect(Math.abs(mean - defaultRecipe.mean)).toBeLessThan(15);
    for (const deviation of deviations) {
      expect(deviation).toBeGreaterThan(35);
      expect(deviation).toBeLessThan(70);
    }
    expect(correlation).toBeGreaterThan(0.6);
  });

  it('draws 256 within seconds', () => {
    const drawer = pictureDrawer(0);
    const started = performance.now();
    for (let index = 0; index < 256; index++) drawer.draw(index, { width: 200, height: 200, channels: 3 });
    // 1.6 s on one slow core; other work may run beside.
    expect(performance.now() - started).toBeLessThan(30_000);
  });
});
