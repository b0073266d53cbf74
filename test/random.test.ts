import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  centralQuantile,
  fillNormal,
  fillTruncatedNormal,
  fillWords,
  philox,
  randomStream,
  truncatedDeviation,
} from '../src/random.js';

const hex = (words: Int32Array): string =>
  [...words].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join(' ');

describe('philox', () => {
  // The known answers of philox4x32-10 in Random123 1.14 (kat_vectors).
  it.each([
    [[0, 0, 0, 0], [0, 0], '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    [[-1, -1, -1, -1], [-1, -1], '408f276d 41c83b0e a20bc7c6 6d5451fd'],
    [[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0], 'd16cfe09 94fdcceb 5001e420 24126ea1'],
  ] as const)('counter %j, key %j', ([a, b, c, d], key, expected) => {
    const words = new Int32Array(6);
    philox(a, b, [c, d], key, words, 1);
    expect(hex(words.subarray(1, 5))).toBe(expected);
    expect([words[0], words[5]]).toEqual([0, 0]);
  });
});

describe('streams', () => {
  const word = (seed: number, name: string, at: number): number => {
    const words = new Int32Array(1);
    fillWords(randomStream(seed, name), words, at);
    return words[0]!;
  };

  it('a piece equals that part of the whole', () => {
    const whole = new Int32Array(64);
    const stream = randomStream(7, 'weight');
    fillWords(stream, whole);
    fc.assert(
      fc.property(fc.nat(64), fc.nat(64), (a, b) => {
        const [start, end] = a < b ? [a, b] : [b, a];
        const piece = new Int32Array(end - start);
        fillWords(stream, piece, start);
        expect(piece).toEqual(whole.subarray(start, end));
      }),
    );
  });

  it('every bit of seed, name and position counts', () => {
    const base = word(0, 'a', 0);
    for (const other of [word(1, 'a', 0), word(2 ** 32, 'a', 0), word(0, 'b', 0), word(0, 'a', 4)]) {
      expect(other).not.toBe(base);
    }
    // Beyond 2³² blocks the counter goes on into its second word.
    expect(word(0, 'a', 2 ** 34)).not.toBe(base);
  });
});

describe('truncated normal', () => {
  // Φ⁻¹ to 16 digits (any table).
  it.each([
    [0.6, 0.2533471031357997],
    [0.75, 0.6744897501960817],
    [0.9, 1.2815515655446004],
    [0.975, 1.959963984540054],
    [0.9772498680518208, 2],
  ])('quantile of %d', (probability, expected) => {
    // 1.6e-9 is the stated error of the approximation.
    expect(Math.abs(centralQuantile(probability - 0.5) / expected - 1)).toBeLessThan(1.7e-9);
    expect(centralQuantile(0.5 - probability)).toBe(-centralQuantile(probability - 0.5));
  });

  it('has the moments of a normal distribution cut at two standard deviations', () => {
    const count = 1 << 20;
    const values = new Float32Array(count);
    fillTruncatedNormal(randomStream(20, 'moments'), values, 0, 1);
    const moment = (power: number): number => values.reduce((sum, x) => sum + x ** power, 0) / count;
    // Bounds are five standard errors: E[z²] = 0.77374, E[z⁴] = 3·E[z²] − 8·2φ(2)/0.9545 ≈ 1.41616, E[z⁸] < 2⁴·E[z⁴].
    const second = truncatedDeviation ** 2;
    const fourth = 1.41616;
    expect(Math.abs(moment(1))).toBeLessThan(5 * Math.sqrt(second / count));
    expect(Math.abs(moment(2) - second)).toBeLessThan(5 * Math.sqrt((fourth - second ** 2) / count));
    expect(Math.abs(moment(4) - fourth)).toBeLessThan(5 * Math.sqrt((16 * fourth - fourth ** 2) / count));
    expect(values.every((x) => Math.abs(x) <= 2)).toBe(true);
  });

  it('neighbours, and streams of neighbouring seeds, are uncorrelated', () => {
    const count = 1 << 18;
    const draw = (seed: number, start: number): Float32Array => {
      const values = new Float32Array(count);
      fillTruncatedNormal(randomStream(seed, 'correlation'), values, start, 1);
      return values;
    };
    const base = draw(3, 0);
    for (const other of [draw(3, 1), draw(3, 4), draw(4, 0)]) {
      const product = base.reduce((sum, x, i) => sum + x * other[i]!, 0) / count;
      // Five standard errors of a mean of products with variance E[z²]².
      expect(Math.abs(product)).toBeLessThan((5 * truncatedDeviation ** 2) / Math.sqrt(count));
    }
  });
});

describe('normal', () => {
  it('has the moments of N(0, 1), and pairs are uncorrelated', () => {
    const count = 1 << 20;
    const values = new Float32Array(count);
    fillNormal(randomStream(20, 'normal'), values, 0);
    const mean = (term: (x: number, i: number) => number): number =>
      values.reduce((sum, x, i) => sum + term(x, i), 0) / count;
    // Bounds are five standard errors: E[z²] = 1, E[z⁴] = 3, E[z⁸] = 105.
    const error = 5 / Math.sqrt(count);
    expect(Math.abs(mean((x) => x))).toBeLessThan(error);
    expect(Math.abs(mean((x) => x ** 2) - 1)).toBeLessThan(Math.sqrt(2) * error);
    expect(Math.abs(mean((x) => x ** 3))).toBeLessThan(Math.sqrt(15) * error);
    expect(Math.abs(mean((x) => x ** 4) - 3)).toBeLessThan(Math.sqrt(96) * error);
    for (const lag of [1, 2]) expect(Math.abs(mean((x, i) => x * (values[i + lag] ?? 0)))).toBeLessThan(error);
    expect(values.every((x) => Math.abs(x) < 6.7)).toBe(true);
  });

  it('a piece from an even position on equals that part of the whole, of odd length too', () => {
    const stream = randomStream(7, 'normal');
    const whole = new Float32Array(10_000);
    fillNormal(stream, whole, 0);
    for (const [start, length] of [
      [0, 1],
      [2, 5],
      [4096, 4097],
      [998, 7001],
    ] as const) {
      const piece = new Float32Array(length);
      fillNormal(stream, piece, start);
      expect(piece).toEqual(whole.subarray(start, start + length));
    }
  });
});
