import type { Linalg, Matrix, Matrix64 } from '../linalg/types.js';
import { transposed } from '../linalg/transpose.js';
import { moved } from './augment.js';
import type { BufferKind } from '../step/rules/rule.js';
import { diagonal, type LayerFactors } from './factors.js';
import { newDirections, orthonormalRows, polished } from './orthonormal.js';
import type { CoreSpectrum } from './spectrum.js';

/** Of the largest singular value, below which one's left vector is made up: S has no direction there. */
const leastValue = 1e-7;

/**
 * The layer at `rank`, S diagonal: P diag(σ) Qᵀ = S, U ← U P, V ← V Q, of the first `rank` columns of each, and what the optimizer
 * keeps of S seen from there. W changes by the tail of σ alone.
 */
export async function truncate(
  linalg: Linalg,
  factors: LayerFactors,
  { vectors }: CoreSpectrum,
  rank: number,
  kinds: readonly BufferKind[],
): Promise<LayerFactors> {
  const { left, core, right } = factors;
  const q: Matrix64 = { rows: rank, cols: vectors.cols, data: vectors.data.slice(0, rank * vectors.cols) };
  const images = await linalg.gemm64(q, core, { transposeB: true });
  const values = lengthsOf(images);
  const p = await leftVectors(linalg, images, values);
  const u = await polished(linalg, await linalg.gemm64(p, left, { transposeB: true }));
  const v = await polished(linalg, await linalg.gemm64(q, right));
  const qt = transposed64(q);
  return {
    left: transposed(narrow(u)),
    core: diagonal(values),
    right: narrow(v),
    buffers: await Promise.all(factors.buffers.map((buffer, at) => rotated(linalg, buffer, kinds[at]!, p, qt))),
    average: factors.average && (await moved(linalg, factors.average, p, qt)),
  };
}

/** A buffer of the optimizer as M and N turn the bases: M m N, of squares (M √v N)². */
export async function rotated(
  linalg: Linalg,
  buffer: Matrix,
  kind: BufferKind,
  m: Matrix64,
  n: Matrix64,
): Promise<Matrix> {
  if (kind === 'first') return moved(linalg, buffer, m, n);
  const roots = await moved(linalg, { ...buffer, data: buffer.data.map((value) => Math.sqrt(value)) }, m, n);
  return { ...roots, data: roots.data.map((value) => value * value) };
}

/** Pᵀ: S q / σ, made orthonormal from the largest on, and any directions where σ is next to nothing. */
async function leftVectors(linalg: Linalg, images: Matrix64, values: Float64Array): Promise<Matrix64> {
  const { rows, cols, data } = images;
  const good = values.filter((value) => value > leastValue * values[0]!).length;
  const own: Matrix64 =
    good === 0
      ? { rows: 0, cols, data: new Float64Array(0) }
      : await orthonormalRows(linalg, { rows: good, cols, data: data.subarray(0, good * cols) });
  if (good === rows) return own;
  const unit = diagonal(new Float32Array(cols).fill(1));
  const others = await newDirections(linalg, narrow(own), unit);
  const all = new Float64Array(rows * cols);
  all.set(own.data);
  all.set(others.data.subarray(0, (rows - good) * cols), good * cols);
  return { rows, cols, data: all };
}

function lengthsOf({ rows, cols, data }: Matrix64): Float64Array {
  return Float64Array.from({ length: rows }, (_, i) => {
    let sum = 0;
    for (let j = i * cols; j < (i + 1) * cols; j++) sum += data[j]! ** 2;
    return Math.sqrt(sum);
  });
}

function narrow({ rows, cols, data }: Matrix64): Matrix {
  return { rows, cols, data: Float32Array.from(data) };
}

function transposed64({ rows, cols, data }: Matrix64): Matrix64 {
  const result = new Float64Array(data.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) result[j * rows + i] = data[i * cols + j]!;
  return { rows: cols, cols: rows, data: result };
}
