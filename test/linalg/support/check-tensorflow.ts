import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLinalg } from '../../../src/linalg/linalg.js';
import type { RealMatrix } from '../../../src/linalg/operand.js';
import { createTensorFlowProducts, sumLength } from '../../../src/linalg/tensorflow-products.js';
import { createWorkerPool, type WorkerPool } from '../../../src/linalg/worker-pool.js';
import { loadDriver } from '../../../src/runtime/driver.js';
import { loadTensorFlow, type TensorFlow } from '../../../src/runtime/tensorflow.js';
import { failureOf } from '../../support/errors.js';
import { gaussian, norm, orthonormalityError, residual } from './matrices.js';
import { createRandom } from './random.js';

const seed = 20_261_121;

function filled(rows: number, cols: number, isDouble: boolean, random: () => number): RealMatrix {
  const data = isDouble ? new Float64Array(rows * cols) : new Float32Array(rows * cols);
  for (let i = 0; i < data.length; i++) data[i] = random();
  return { rows, cols, data };
}

const at = ({ cols, data }: RealMatrix, isTransposed: boolean, i: number, j: number): number =>
  isTransposed ? data[j * cols + i]! : data[i * cols + j]!;

/** Products, decompositions and promises of the linear algebra on one backend; TensorFlow.js keeps one a process. */
export function describeTensorFlow(name: string): void {
  let tensorFlow: TensorFlow;
  let workers: WorkerPool;
  beforeAll(async () => {
    process.env['LOWRANK_TFJS'] = name;
    tensorFlow = await loadTensorFlow();
    workers = createWorkerPool(2);
  });
  afterAll(() => workers.close());

  describe(`products on ${name}`, () => {
    it('is the backend that was asked for', () => {
      expect(tensorFlow).toMatchObject({ package: name, device: 'cpu', unusable: [] });
      expect(tensorFlow.tf.getBackend()).toBe(tensorFlow.backend);
    });

    /**
     * Sums of n products in any order are wrong by at most γ = (n + 1) u / (1 − (n + 1) u) times the sum of magnitudes, u
     * the unit roundoff of the type, one more term where something is added (Higham, Accuracy and Stability, 3.5); float64
     * factors of a float32 product are rounded first, which costs two more.
     */
    it('are right to rounding for all shapes, types, transpositions and blocks, and leave no tensor', async () => {
      const shape = fc.record({
        rows: fc.integer({ min: 1, max: 24 }),
        inner: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constant(sumLength), fc.constant(2 * sumLength + 3)),
        cols: fc.integer({ min: 1, max: 24 }),
        transposeA: fc.boolean(),
        transposeB: fc.boolean(),
        isDoubleA: fc.boolean(),
        isDoubleB: fc.boolean(),
        isDoubleResult: fc.boolean(),
        inFloat64: fc.boolean(),
        sign: fc.constantFrom(0 as const, 1 as const, -1 as const),
        blockSize: fc.constantFrom(16, 700, 16e6),
        callWork: fc.constantFrom(100, 1e9),
        seed: fc.integer({ min: 0, max: 1e6 }),
      });
      const before = tensorFlow.tf.memory().numTensors;
      await fc.assert(
        fc.asyncProperty(shape, async (s) => {
          const random = createRandom(s.seed).normal;
          const { rows, inner, cols, transposeA, transposeB, inFloat64 } = s;
          const a = filled(transposeA ? inner : rows, transposeA ? rows : inner, s.isDoubleA, random);
          const b = filled(transposeB ? cols : inner, transposeB ? inner : cols, s.isDoubleB, random);
          const c = filled(rows, cols, s.isDoubleResult, random);
          const result = filled(rows, cols, s.isDoubleResult, () => Number.NaN);
          const add = s.sign === 0 ? undefined : { matrix: c, sign: s.sign };
          const products = createTensorFlowProducts(tensorFlow, workers, s);
          await products.multiply(a, b, result, { transposeA, transposeB, inFloat64, add });
          const isDouble = s.isDoubleResult || inFloat64;
          const terms = inner + 4;
          const unit = isDouble ? 2 ** -53 : 2 ** -24;
          // Our own sums are in float64 too; a float64 result may be rounded to float32 in the end.
          const gamma = terms * unit + inner * 2 ** -53;
          for (let i = 0; i < rows; i++) {
            for (let j = 0; j < cols; j++) {
              let sum = s.sign * c.data[i * cols + j]!;
              let magnitude = Math.abs(sum);
              for (let k = 0; k < inner; k++) {
                const term = at(a, transposeA, i, k) * at(b, transposeB, k, j);
                sum += term;
                magnitude += Math.abs(term);
              }
              const rounding = s.isDoubleResult ? 0 : 2 ** -24 * Math.abs(sum);
              const error = Math.abs(result.data[i * cols + j]! - sum);
              if (!(error <= gamma * magnitude + rounding)) {
                throw new Error(`element (${i}, ${j}) is ${result.data[i * cols + j]}, not ${sum}: off by ${error}`);
              }
            }
          }
        }),
        { seed, numRuns: 120 },
      );
      expect(tensorFlow.tf.memory().numTensors).toBe(before);
    });

    it('stop between two blocks when the signal fires, and leave no tensor', async () => {
      const before = tensorFlow.tf.memory().numTensors;
      const products = createTensorFlowProducts(tensorFlow, workers, { blockSize: 64, callWork: 64 });
      const abort = new AbortController();
      const random = createRandom(1).normal;
      const a = filled(64, 64, false, random);
      const done = products.multiply(a, a, filled(64, 64, false, random), { signal: abort.signal });
      setImmediate(() => abort.abort());
      await failureOf('ABORTED', () => done);
      expect(tensorFlow.tf.memory().numTensors).toBe(before);
    });
  });

  describe(`truncatedSvd on ${name}`, () => {
    it.each([
      [180, 260, 20],
      [300, 90, 60],
    ])('of %i × %i at rank %i keeps the promise that onnxruntime keeps', async (rows, cols, rank) => {
      const a = gaussian(rows, cols, 7);
      const driver = await loadDriver();
      const engines = [
        await createLinalg({ driver, threads: 1 }),
        await createLinalg({ driver, threads: 1, tensorFlow }),
      ];
      try {
        const [ours, theirs] = await Promise.all(engines.map((engine) => engine.truncatedSvd(a, rank, { seed: 3 })));
        // Both are within 1e-4 of the optimum, which neither can beat.
        const limit = (1 + 1e-4) * residual(a, ours!) + 1e-6 * norm(a.data);
        expect(residual(a, theirs!)).toBeLessThanOrEqual(limit);
        expect(residual(a, ours!)).toBeLessThanOrEqual((1 + 1e-4) * residual(a, theirs!) + 1e-6 * norm(a.data));
        // float32's rounding of sums of products, with room: the bound of truncated-svd.test.ts.
        expect(orthonormalityError(theirs!.left, 'columns')).toBeLessThan(1e-5);
        expect(orthonormalityError(theirs!.right, 'rows')).toBeLessThan(1e-5);
        // All singular values in float64 accuracy: 1e-8 of the largest by way of the Gram matrix.
        const [v, w] = await Promise.all(engines.map((engine) => engine.singularValues(a)));
        for (const [k, value] of v!.entries()) expect(Math.abs(value - w![k]!)).toBeLessThanOrEqual(1e-8 * v![0]!);
      } finally {
        for (const engine of engines) await engine.close();
      }
    });
  });
}
