import { setImmediate } from 'node:timers/promises';
import { LowrankError, messageOf, throwIfAborted } from '../errors.js';
import type { TensorFlow } from '../runtime/tensorflow.js';
import type { Tensor, TensorFlowApi } from '../runtime/tensorflow-api.js';
import { arrayOf, type RealMatrix } from './operand.js';
import type { ProductOptions, Products } from './products.js';
import { transposed } from './transpose.js';
import type { WorkerPool } from './worker-pool.js';

export interface BlockLimits {
  /** Numbers of a matrix that are handed to TensorFlow.js at a time. */
  readonly blockSize: number;
  /** Multiplications between two looks at the event loop. */
  readonly callWork: number;
}

/** WebAssembly has 4 GiB for all of them; plain JavaScript takes three seconds for such a product. */
const defaultLimits: BlockLimits = { blockSize: 16e6, callWork: 1e9 };
/**
 * Terms of a sum that are added one by one in float32: the backend for WebAssembly adds them in a row, whose rounding errors
 * grow with its length. Sums of such sums keep the Gram matrices as accurate as the SVD takes them to be.
 */
export const sumLength = 256;

/**
 * Matrix products in TensorFlow.js, block by block. It has no float64: what is to be multiplied in float64 goes to our own
 * kernels in worker threads.
 */
export function createTensorFlowProducts(
  { tf }: TensorFlow,
  workers: WorkerPool,
  limits: BlockLimits = defaultLimits,
): Products {
  return {
    multiply: async (left, right, target, options = {}) => {
      throwIfAborted(options.signal);
      const [a, b, result] = [arrayOf(left), arrayOf(right), arrayOf(target)];
      if (options.inFloat64 === true || result.data instanceof Float64Array) {
        await multiplyInFloat64(workers, a, b, result, options);
        return;
      }
      try {
        await multiplyInFloat32(tf, limits, a, b, result, options);
      } catch (error) {
        if (error instanceof LowrankError) throw error;
        throw new LowrankError('RUNTIME', `TensorFlow.js failed: ${messageOf(error)}`, { cause: error });
      }
    },
    // Tensors live as long as one product; the backend belongs to the process.
    close: async () => Promise.resolve(),
  };
}

async function multiplyInFloat64(
  workers: WorkerPool,
  a: RealMatrix,
  b: RealMatrix,
  result: RealMatrix,
  { transposeA = false, transposeB = false, alpha = 1, add, signal }: ProductOptions,
): Promise<void> {
  const { product } = await workers.solve(
    {
      kind: 'product',
      // Copies: what goes to a worker is gone.
      matrix: new Float64Array(a.data),
      right: new Float64Array(b.data),
      n: result.rows,
      inner: transposeA ? a.rows : a.cols,
      cols: result.cols,
      transposeLeft: transposeA,
      transposeRight: transposeB,
    },
    signal,
  );
  if (alpha !== 1) for (let i = 0; i < product.length; i++) product[i] = alpha * product[i]!;
  if (add !== undefined) {
    const { data } = arrayOf(add.matrix);
    for (let i = 0; i < product.length; i++) product[i] = product[i]! + add.sign * data[i]!;
  }
  result.data.set(product);
}

async function multiplyInFloat32(
  tf: TensorFlowApi,
  { blockSize, callWork }: BlockLimits,
  a: RealMatrix,
  b: RealMatrix,
  result: RealMatrix,
  { transposeA = false, transposeB = false, alpha = 1, add, signal }: ProductOptions,
): Promise<void> {
  const { rows, cols, data } = result;
  const left = transposeA ? transposed(a) : a;
  const inner = left.cols;
  const widest = Math.max(1, Math.floor(blockSize / inner));
  for (let col = 0; col < cols; col += widest) {
    const width = Math.min(widest, cols - col);
    const tallest = Math.max(1, Math.min(widest, Math.floor(Math.min(blockSize, callWork / inner) / width)));
    const right = tf.tensor2d(transposeB ? columnsOfTranspose(b, col, width) : columns(b, col, width), [inner, width]);
    try {
      for (let row = 0; row < rows; row += tallest) {
        const height = Math.min(tallest, rows - row);
        const added = add && columns(rowsOf(arrayOf(add.matrix), row, height), col, width);
        const product = tf.tidy(() => {
          const factor = tf.tensor2d(float32(rowsOf(left, row, height).data), [height, inner]);
          const whole = multiply(tf, factor, right);
          const pure = alpha === 1 ? whole : tf.mul(whole, alpha);
          if (added === undefined) return pure;
          const other = tf.tensor2d(added, [height, width]);
          return add!.sign === 1 ? tf.add(pure, other) : tf.sub(pure, other);
        });
        try {
          const values = await product.data();
          for (let i = 0; i < height; i++) {
            data.set(values.subarray(i * width, (i + 1) * width), (row + i) * cols + col);
          }
        } finally {
          product.dispose();
        }
        // Backends that compute on this thread never give way by themselves: signals and timers wait for it.
        await setImmediate();
        throwIfAborted(signal);
      }
    } finally {
      right.dispose();
    }
  }
}

/** a · b as a sum of products of `sumLength` terms. */
function multiply(tf: TensorFlowApi, a: Tensor, b: Tensor): Tensor {
  const [rows, inner] = a.shape as [number, number];
  const cols = b.shape[1]!;
  if (inner <= sumLength) return tf.matMul(a, b);
  let sum: Tensor | undefined;
  for (let from = 0; from < inner; from += sumLength) {
    const length = Math.min(sumLength, inner - from);
    const next = tf.tidy(() => {
      const part = tf.matMul(tf.slice(a, [0, from], [rows, length]), tf.slice(b, [from, 0], [length, cols]));
      return sum === undefined ? part : tf.add(sum, part);
    });
    sum?.dispose();
    sum = next;
  }
  return sum!;
}

function rowsOf({ cols, data }: RealMatrix, row: number, height: number): RealMatrix {
  return { rows: height, cols, data: data.subarray(row * cols, (row + height) * cols) };
}

/** Columns `col` … of a matrix, without gaps: its own memory where these are all. */
function columns({ rows, cols, data }: RealMatrix, col: number, width: number): Float32Array {
  if (width === cols) return float32(data);
  const part = new Float32Array(rows * width);
  for (let i = 0; i < rows; i++) part.set(data.subarray(i * cols + col, i * cols + col + width), i * width);
  return part;
}

/** Columns of Mᵀ: rows of M. */
function columnsOfTranspose(matrix: RealMatrix, col: number, width: number): Float32Array {
  return transposed(rowsOf(matrix, col, width)).data;
}

function float32(data: Float32Array | Float64Array): Float32Array {
  return data instanceof Float32Array ? data : new Float32Array(data);
}
