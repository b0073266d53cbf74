import { availableParallelism } from 'node:os';
import { LowrankError, throwIfAborted } from '../errors.js';
import type { TensorFlow } from '../runtime/tensorflow.js';
import type { Driver, SessionOptions } from '../runtime/types.js';
import { createAdmission } from './admission.js';
import { directSvd, gramInFloat64 } from './direct-svd.js';
import { prefersFilter } from './filter-plan.js';
import { filteredSvd } from './filtered-svd.js';
import { type ScaledMatrix, scaleToSquare } from './matrix-scale.js';
import { arrayMemory } from './product-memory.js';
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
  /** A device on which large matrices stay between products. Default: all is computed on the CPU. */
  readonly resident?: ResidentLinalg | undefined;
}

export interface ResidentLinalg {
  /** The sessions of that device. */
  readonly session: SessionOptions;
  /** Multiplications of its Gram matrix from which on a matrix is decomposed there. */
  readonly leastWork?: number;
  /** Hears of nodes that the device leaves to the CPU. */
  readonly onWarning?: (message: string) => void;
}

/** Bytes of matrices in work at a time, unless one alone needs more. */
const memoryBudget = 768e6;

/**
 * Below that, copying to a device and back, some tenths of a millisecond for each product, costs more than several cores need
 * for it. An estimate: nothing of it has been measured on a GPU.
 */
const leastResidentWork = 1e8;

/**
 * Starts no thread before it is needed; `close` ends them. Throws DEVICE, RUNTIME or UNSUPPORTED where there is no device to
 * be resident on.
 */
export async function createLinalg({ driver, threads, tensorFlow, resident }: LinalgSettings): Promise<Linalg> {
  const parallelism = threads ?? availableParallelism();
  const workers = createWorkerPool(parallelism);
  const scratch = createScratch();
  const products =
    tensorFlow === undefined
      ? await createProducts(driver, threads, resident && { onWarning: () => undefined, ...resident, scratch })
      : createTensorFlowProducts(tensorFlow, workers);
  const inArrays = arrayMemory(scratch);
  // One more than there are workers: while they solve, products run.
  const admission = createAdmission(parallelism + 1, memoryBudget);

  const decompose = async <T>(
    { matrix, squaredNorm }: ScaledMatrix,
    rank: number,
    options: SvdOptions,
    solve: (task: SvdTask) => Promise<T>,
  ): Promise<T> => {
    const isTall = matrix.rows > matrix.cols;
    const wide = isTall ? transposed(matrix, scratch.take32(matrix.cols, matrix.rows).data) : matrix;
    const { rows: n, cols: m } = wide;
    const isLarge = n * n * m >= (resident?.leastWork ?? leastResidentWork);
    const memory = (isLarge ? products.resident : undefined) ?? inArrays;
    const a = await memory.lend(wide);
    const { seed = 0, signal } = options;
    try {
      return await solve({ products, workers, scratch, memory, a, n, m, rank, squaredNorm, seed, signal });
    } finally {
      memory.end(a);
      if (isTall) scratch.give(wide);
    }
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
        const { near, far, values } = await decompose(scaled, rank, options, async (task) => {
          const filtered = prefersFilter(task) ? await filteredSvd(task) : undefined;
          return filtered ?? (await directSvd(task));
        });
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
        const { data, rows: n } = await decompose(scaled, 0, options, gramInFloat64);
        const { values } = await workers.solve({ kind: 'eigenvalues', matrix: data, n }, options.signal);
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
  return linalg;
}

/** Peak of one decomposition, roughly: the matrix in float64 once, and eight float64 matrices of its shorter side. */
function bytesFor({ rows, cols }: Matrix): number {
  return 8 * rows * cols + 64 * Math.min(rows, cols) ** 2;
}
