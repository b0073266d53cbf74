import type { GemmOptions, Linalg, Matrix } from '../../../linalg/types.js';

/** Multiplications below which a call to onnxruntime costs more than the product. */
const smallWork = 1.5e5;

/** op(a)·op(b): small products here, summed in float64, the others through `linalg`. */
export async function product(linalg: Linalg, a: Matrix, b: Matrix, options: GemmOptions = {}): Promise<Matrix> {
  const rows = options.transposeA === true ? a.cols : a.rows;
  const inner = options.transposeA === true ? a.rows : a.cols;
  const cols = options.transposeB === true ? b.rows : b.cols;
  if (rows * inner * cols > smallWork) return linalg.gemm(a, b, options);
  const left = options.transposeA === true ? transposed(a) : a.data;
  const right = options.transposeB === true ? transposed(b) : b.data;
  const data = options.into ?? new Float32Array(rows * cols);
  const sums = new Float64Array(cols);
  for (let i = 0; i < rows; i++) {
    sums.fill(0);
    for (let k = 0, at = 0; k < inner; k++) {
      const x = left[i * inner + k]!;
      for (let j = 0; j < cols; j++, at++) sums[j]! += x * right[at]!;
    }
    data.set(sums, i * cols);
  }
  return { rows, cols, data };
}

function transposed({ rows, cols, data }: Matrix): Float32Array {
  const result = new Float32Array(data.length);
  for (let i = 0, at = 0; i < rows; i++) for (let j = 0; j < cols; j++, at++) result[j * rows + i] = data[at]!;
  return result;
}
