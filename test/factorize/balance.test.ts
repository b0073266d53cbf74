import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { balanceActivations } from '../../src/factorize/balance.js';
import { randomFloats } from '../../src/rewrite/samples.js';
import type { Matrix } from '../../src/linalg/types.js';

const matrix = (rows: number, cols: number, name: string): Matrix => ({
  rows,
  cols,
  data: randomFloats(rows * cols, 3, name),
});

function product(left: Matrix, right: Matrix): number[] {
  const result: number[] = [];
  for (let i = 0; i < left.rows; i++) {
    for (let j = 0; j < right.cols; j++) {
      let sum = 0;
      for (let k = 0; k < left.cols; k++) sum += left.data[i * left.cols + k]! * right.data[k * right.cols + j]!;
      result.push(sum);
    }
  }
  return result;
}

describe('what lies between two factors', () => {
  const size = fc.integer({ min: 1, max: 6 });

  it('becomes even on the images, and the product stays', () => {
    const sizes = fc.record({ rows: size, rank: size, width: size, parts: fc.integer({ min: 1, max: 3 }) });
    const property = fc.property(sizes, ({ rows, rank, width, parts }) => {
      const left = matrix(rows * parts, rank, 'left');
      const right = matrix(rank, width, 'right');
      // Channels of sizes that differ by thousands.
      right.data.forEach((value, at) => (right.data[at] = value * 10 ** (Math.floor(at / width) % 4)));
      const patches = matrix(64, width * parts, 'patches');
      const n = width * parts;
      const second = { rows: n, cols: n, data: new Float64Array(n * n) };
      for (let row = 0; row < 64; row++) {
        for (let i = 0; i < n; i++) {
          for (let j = 0; j < n; j++) {
            second.data[i * n + j]! += (patches.data[row * n + i]! * patches.data[row * n + j]!) / 64;
          }
        }
      }
      const even = balanceActivations({ left, right }, parts, { count: 64, mean: new Float64Array(n), second });
      const [before, after] = [product(left, right), product(even.left, even.right)];
      const largest = Math.max(...before.map(Math.abs));
      after.forEach((value, at) => expect(Math.abs(value - before[at]!)).toBeLessThan(1e-5 * largest + 1e-12));
      const squares = Array.from({ length: rank }, (_, k) => {
        let sum = 0;
        for (let row = 0; row < 64; row++) {
          for (let y = 0; y < parts; y++) {
            let value = 0;
            for (let i = 0; i < width; i++) {
              value += even.right.data[k * width + i]! * patches.data[row * n + y * width + i]!;
            }
            sum += value * value;
          }
        }
        return sum;
      });
      for (const square of squares) expect(square / squares[0]!).toBeCloseTo(1, 3);
    });
    fc.assert(property, { numRuns: 50 });
  });

  it('a channel that is always 0 stays', () => {
    const left = matrix(3, 2, 'left');
    const right = { rows: 2, cols: 2, data: Float32Array.from([0, 0, 1, 2]) };
    const even = balanceActivations({ left, right }, 1, undefined);
    expect([...even.right.data.slice(0, 2)]).toEqual([0, 0]);
    expect([...even.left.data].every(Number.isFinite)).toBe(true);
  });
});
