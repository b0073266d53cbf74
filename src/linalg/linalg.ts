import { availableParallelism } from 'node:os';
import { LowrankError, throwIfAborted } from '../errors.js';
import type { TensorFlow } from '../runtime/tensorflow.js';
import type { Driver } from '../runtime/types.js';
import { createAdmission } from './admission.js';
import { directSvd, gramInFloat64 } from './direct-svd.js';
import { prefersFilter } from './filter-plan.js';
import { filteredSvd } from './filtered-svd.js';
import { type ScaledMatrix, scaleToSquare } from './matrix-scale.js';
import { createProducts } from './products.js';
import { createScratch } from './scratch.js';
import type { SvdTask } from './svd-task.js';
import { transposed } from './transpose.js';
import { createTensorFlowProducts } from './tensorflow-products.js';
import type { Linalg, Matrix, SvdOptions } from './types.js';
import { createWorkerPool } from './worker-pool.js';

export interface LinalgSettings {
  readonly driver: Driver;
  /** Threads of one product, and worker threads. Default: the cores this process may use. */
  readonly threads?: number | undefined;
  /** Multiplies in the place of onnxruntime. */
  readonly tensorFlow?: TensorFlow | undefined;
}

/** Bytes of matrices in work at a time, unless one alone needs more. */
const memoryBudget = 768e6;

/** Starts nothing before it is needed; `close` ends the threads. */
export async function createLinalg({ driver, threads, tensorFlow }: LinalgSettings): Promise<Linalg> {
  const parallelism = threads ?? availableParallelism();
  const workers = createWorkerPool(parallelism);
  const products =
    tensorFlow === undefined ? createProducts(driver, threads) : createTensorFlowProducts(tensorFlow, workers);
  // One more than there are workers: while they solve, products run.
  const scratch = createScratch();
  const admission = createAdmission(parallelism + 1, memoryBudget);

  const taskOf = ({ matrix: a, squaredNorm }: ScaledMatrix, rank: number, options: SvdOptions): SvdTask => {
    const wide = a.rows > a.cols ? transposed(a, scratch.take32(a.cols, a.rows).data) : a;
    return {
      products,
      workers,
      scratch,
      a: wide,
      n: wide.rows,
      m: wide.cols,
      rank,
      squaredNorm,
      seed: options.seed ?? 0,
      signal: options.signal,
    };
  };

  const linalg: Linalg = {
    scratch,
    gemm: async (a, b, options = {}) => {
      const { transposeA, transposeB } = options;
      const [rows, innerA] = transposeA === true ? [a.cols, a.rows] : [a.rows, a.cols];
      const [innerB, cols] = transposeB === true ? [b.cols, b.rows] : [b.rows, b.cols];
      if (innerA !== innerB) {
        throw new LowrankError(
          'INTERNAL',
          `inner sizes differ: [${rows}, ${innerA}] × [${innerB}, ${cols}] in a matrix product`,
        );
      }
      const result = { rows, cols, data: options.into ?? new Float32Array(rows * cols) };
      if (innerA === 0) result.data.fill(0);
      else if (result.data.length > 0) await products.multiply(a, b, result, { transposeA, transposeB });
      return result;
    },
    truncatedSvd: async (a, rank, options = {}) => {
      throwIfAborted(options.signal);
      const side = Math.min(a.rows, a.cols);
      if (!(Number.isInteger(rank) && rank >= 1 && rank <= side)) {
        throw new LowrankError('INTERNAL', `rank ${rank} of a matrix of ${a.rows} rows and ${a.cols} columns`);
      }
      return admission.run(bytesFor(a), options.signal, async () => {
        const scaled = scaleToSquare(a);
        const task = taskOf(scaled, rank, options);
        const filtered = prefersFilter(task) ? await filteredSvd(task) : undefined;
        const { near, far, values } = filtered ?? (await directSvd(task));
        if (task.a !== scaled.matrix) scratch.give(task.a);
        const [left, right] = a.rows > a.cols ? [far, near] : [near, far];
        return {
          left: transposed(left),
          singularValues: values.map((value) => value / scaled.scale),
          right: { ...right, data: right.data instanceof Float32Array ? right.data : Float32Array.from(right.data) },
        };
      });
    },
    singularValues: async (a, options = {}) => {
      throwIfAborted(options.signal);
      return admission.run(bytesFor(a), options.signal, async () => {
        const scaled = scaleToSquare(a);
        const task = taskOf(scaled, 0, options);
        const gram = await gramInFloat64(task);
        if (task.a !== scaled.matrix) scratch.give(task.a);
        const { values } = await workers.solve({ kind: 'eigenvalues', matrix: gram.data, n: task.n }, options.signal);
        return values.map((value) => Math.sqrt(Math.max(0, value)) / scaled.scale);
      });
    },
    gemm64: async (a, b, { signal, transposeA, transposeB } = {}) => {
      const rows = transposeA === true ? a.cols : a.rows;
      const cols = transposeB === true ? b.rows : b.cols;
      const result = { rows, cols, data: new Float64Array(rows * cols) };
      const isEmpty = result.data.length === 0 || a.data.length === 0;
      if (!isEmpty) await products.multiply(a, b, result, { transposeA, transposeB, signal });
      return result;
    },
    symmetricEigen: async ({ rows: n, data }, count, { signal } = {}) => {
      const solved = await workers.solve({ kind: 'eigen', matrix: data, n, count }, signal);
      return { values: solved.values, vectors: { rows: count, cols: n, data: solved.vectors } };
    },
    inverseRoot: async ({ rows: n, data }, { signal } = {}) => {
      const { inverse } = await workers.solve({ kind: 'inverseCholesky', matrix: data, n }, signal);
      return inverse === undefined ? undefined : { rows: n, cols: n, data: inverse };
    },
    close: async () => {
      await workers.close();
      await products.close();
    },
  };
  return Promise.resolve(linalg);
}

/** Peak of one decomposition, roughly: the matrix in float64 once, and eight float64 matrices of its shorter side. */
function bytesFor({ rows, cols }: Matrix): number {
  return 8 * rows * cols + 64 * Math.min(rows, cols) ** 2;
}
