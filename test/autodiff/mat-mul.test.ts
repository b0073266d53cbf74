import fc from 'fast-check';
import { describe, it } from 'vitest';
import { float, int } from '../../src/graph/attributes.js';
import { checkGradient } from './support/check-gradient.js';
import { seed } from './support/seed.js';

const size = fc.integer({ min: 1, max: 4 });

describe('gradient of Gemm', () => {
  it('holds for every combination of attributes and shapes of C', async () => {
    const gemm = fc.record({
      m: size,
      n: size,
      k: size,
      transA: fc.boolean(),
      transB: fc.boolean(),
      alpha: fc.constantFrom(1, 0.5, -1.5),
      beta: fc.constantFrom(1, 0.25, -2),
      c: fc.constantFrom('none', 'scalar', 'row', 'column', 'full', 'vector', 'one'),
    });
    await fc.assert(
      fc.asyncProperty(gemm, async ({ m, n, k, transA, transB, alpha, beta, c }) => {
        const shapes: Record<string, number[]> = {
          scalar: [],
          row: [1, n],
          column: [m, 1],
          full: [m, n],
          vector: [n],
          one: [1],
        };
        const bias = shapes[c] === undefined ? [] : [{ dims: shapes[c] }];
        await checkGradient({
          opType: 'Gemm',
          inputs: [{ dims: transA ? [k, m] : [m, k] }, { dims: transB ? [n, k] : [k, n] }, ...bias],
          attributes: {
            transA: int(transA ? 1 : 0),
            transB: int(transB ? 1 : 0),
            alpha: float(alpha),
            beta: float(beta),
          },
        });
      }),
      { seed: seed('Gemm'), numRuns: 40 },
    );
  });
});

describe('gradient of MatMul', () => {
  it('holds for vectors, matrices and broadcast batches', async () => {
    const matmul = fc.record({
      m: size,
      n: size,
      k: size,
      batch: fc.array(fc.record({ size: fc.integer({ min: 2, max: 3 }), side: fc.constantFrom('both', 'a', 'b') }), {
        maxLength: 2,
      }),
      a: fc.constantFrom('vector', 'matrix', 'batch'),
      b: fc.constantFrom('vector', 'matrix', 'batch'),
    });
    await fc.assert(
      fc.asyncProperty(matmul, async ({ m, n, k, batch, a, b }) => {
        const lead = (side: string): number[] =>
          batch.map((one) => (one.side === 'both' || one.side === side ? one.size : 1));
        const left = { vector: [k], matrix: [m, k], batch: [...lead('a'), m, k] }[a];
        const right = { vector: [k], matrix: [k, n], batch: [...lead('b'), k, n] }[b];
        await checkGradient({ opType: 'MatMul', inputs: [{ dims: left }, { dims: right }] });
      }),
      { seed: seed('MatMul'), numRuns: 60 },
    );
  });
});
