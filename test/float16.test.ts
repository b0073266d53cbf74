import { describe, expect, it } from 'vitest';
import { bfloat16ToNumber, float16ToNumber, numberToBfloat16, numberToFloat16 } from '../src/float16.js';

const view = new DataView(new ArrayBuffer(8));

/** A float32 from its bits. */
function fromBits(bits: number): number {
  view.setUint32(0, bits >>> 0);
  return view.getFloat32(0);
}

/** The float32 next to a finite one, away from zero (1) or towards it (−1). */
function neighbour(value: number, step: 1 | -1): number {
  view.setFloat32(0, value);
  return fromBits(view.getUint32(0) + step);
}

/**
 * binary16 to binary32 by moving bits (IEEE 754-2019, 3.4): widen the fraction, rebias the exponent, and normalize
 * subnormals by shifting. Independent of the arithmetic in src.
 */
function widen(half: number): number {
  const sign = (half & 0x8000) << 16;
  let exponent = (half >> 10) & 0x1f;
  let fraction = half & 0x3ff;
  if (exponent === 31) return fromBits(sign | 0x7f800000 | (fraction << 13));
  if (exponent === 0) {
    if (fraction === 0) return fromBits(sign);
    exponent = 1;
    while ((fraction & 0x400) === 0) {
      fraction <<= 1;
      exponent--;
    }
    fraction &= 0x3ff;
  }
  return fromBits(sign | ((exponent + 112) << 23) | (fraction << 13));
}

const halves = Array.from({ length: 1 << 16 }, (_, bits) => bits);
const isNaNBits = (bits: number, exponent: number): boolean => (bits & 0x7fff) > exponent;

describe('float16', () => {
  it('reads all 65536 values', () => {
    const wrong = halves.filter((bits) => !Object.is(float16ToNumber(bits), widen(bits)));
    expect(wrong).toEqual([]);
  });

  it('writes all of them back, NaN as a quiet NaN', () => {
    const wrong = halves.filter((bits) => {
      const back = numberToFloat16(widen(bits));
      return isNaNBits(bits, 0x7c00) ? back !== 0x7e00 : back !== bits;
    });
    expect(wrong).toEqual([]);
  });

  it('rounds to nearest, ties to even, between all neighbours', () => {
    const wrong: string[] = [];
    for (const sign of [0, 0x8000]) {
      for (let low = 0; low < 0x7c00; low++) {
        // Above the largest value comes 65536, which rounds to infinity.
        const next = low === 0x7bff ? 65536 : Math.abs(widen(low + 1));
        const middle = (Math.abs(widen(low)) + next) / 2;
        const even = low % 2 === 0 ? low : low + 1;
        const signed = sign === 0 ? 1 : -1;
        const cases: [number, number][] = [
          [middle, even],
          [neighbour(middle, -1), low],
          [neighbour(middle, 1), low + 1],
        ];
        for (const [value, expected] of cases) {
          const got = numberToFloat16(signed * value);
          if (got !== (sign | expected)) wrong.push(`${signed * value}: ${got} for ${sign | expected}`);
        }
      }
    }
    expect(wrong.slice(0, 10)).toEqual([]);
  });

  it('goes to infinity and to zero where it must', () => {
    expect(numberToFloat16(65519.99609375)).toBe(0x7bff);
    expect(numberToFloat16(65520)).toBe(0x7c00);
    expect(numberToFloat16(-3.4e38)).toBe(0xfc00);
    expect(numberToFloat16(Infinity)).toBe(0x7c00);
    expect(numberToFloat16(2 ** -25)).toBe(0);
    expect(numberToFloat16(neighbour(2 ** -25, 1))).toBe(1);
    expect(numberToFloat16(-1e-45)).toBe(0x8000);
    expect(numberToFloat16(-0)).toBe(0x8000);
  });
});

describe('bfloat16', () => {
  it('reads all 65536 values as the upper half of a float32', () => {
    const wrong = halves.filter((bits) => !Object.is(bfloat16ToNumber(bits), fromBits(bits * 65536)));
    expect(wrong).toEqual([]);
  });

  it('writes all of them back, NaN as a quiet NaN', () => {
    const wrong = halves.filter((bits) => {
      const back = numberToBfloat16(fromBits(bits * 65536));
      return isNaNBits(bits, 0x7f80) ? back !== 0x7fc0 : back !== bits;
    });
    expect(wrong).toEqual([]);
  });

  it('rounds to nearest, ties to even', () => {
    const wrong: number[] = [];
    for (let high = 0; high < 0xff80; high++) {
      if ((high & 0x7fff) >= 0x7f80) continue;
      const even = high % 2 === 0 ? high : high + 1;
      const cases: [number, number][] = [
        [0x8000, even],
        [0x7fff, high],
        [0x8001, high + 1],
        [0xffff, high + 1],
      ];
      for (const [low, expected] of cases) {
        if (numberToBfloat16(fromBits(high * 65536 + low)) !== expected) wrong.push(high);
      }
    }
    expect(wrong).toEqual([]);
  });
});
