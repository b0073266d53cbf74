import { LowrankError } from '../errors.js';
import { lowerGram } from './gram.js';
import { isOnDevice } from './operand.js';
import { halfDeparture } from './orthonormal.js';
import { randomBlock } from './random-block.js';
import { type Matrix64, type SingularTriplets, type SvdTask, zeros32, zeros64 } from './svd-task.js';

/** Singular values below this fraction of the largest have a far vector that is chosen freely. */
const negligible = 1e-7;
/** Above this fraction, vᵀA / σ are orthonormal to 1e-7 without further ado: rounding is 1e-15 / fraction². */
const accurate = 1e-4;

/** Numbers of A that are in float64 at a time, where A is an array. */
const chunkSize = 8e6;

/** The lower triangle of A Aᵀ in float64. */
export async function gramInFloat64(task: SvdTask): Promise<Matrix64> {
  const { a, n, m, signal } = task;
  const sum = zeros64(n, n);
  const step = Math.min(m, Math.max(1, Math.floor(chunkSize / n)));
  if (isOnDevice(a) || step === m) {
    await lowerGram(task, a, sum, { inFloat64: true, signal });
    return sum;
  }
  for (let from = 0; from < m; from += step) {
    const length = Math.min(step, m - from);
    const part = zeros32(n, length);
    for (let i = 0; i < n; i++) part.data.set(a.data.subarray(i * m + from, i * m + from + length), i * length);
    const gram = zeros64(n, n);
    await lowerGram(task, part, gram, { inFloat64: true, signal });
    for (let i = 0; i < sum.data.length; i++) sum.data[i] = sum.data[i]! + gram.data[i]!;
  }
  return sum;
}

/** vectors · A in float64. */
async function imageInFloat64({ products, a, n, m, signal }: SvdTask, vectors: Matrix64): Promise<Matrix64> {
  const image = zeros64(vectors.rows, m);
  const step = Math.min(n, Math.max(1, Math.floor(chunkSize / m)));
  if (isOnDevice(a) || step === n) {
    await products.multiply(vectors, a, image, { signal });
    return image;
  }
  let sum = image;
  for (let from = 0; from < n; from += step) {
    const length = Math.min(step, n - from);
    const part = zeros64(vectors.rows, length);
    for (let i = 0; i < vectors.rows; i++) {
      part.data.set(vectors.data.subarray(i * n + from, i * n + from + length), i * length);
    }
    const rows = { rows: length, cols: m, data: a.data.subarray(from * m, (from + length) * m) };
    const next = zeros64(vectors.rows, m);
    await products.multiply(part, rows, next, { add: { matrix: sum, sign: 1 }, signal });
    sum = next;
  }
  return sum;
}

/**
 * Truncated SVD from the eigenvectors of the Gram matrix, in float64: singular values to about 1e-8 of the largest. Far
 * vectors of negligible ones are any that complete an orthonormal set: there are `rank` of them whatever the rank of A.
 */
export async function directSvd(task: SvdTask): Promise<SingularTriplets> {
  const { n, rank, signal, workers } = task;
  const gram = await gramInFloat64(task);
  const { vectors } = await workers.solve({ kind: 'eigen', matrix: gram.data, n, count: rank }, signal);
  const near = { rows: rank, cols: n, data: vectors };
  const image = await imageInFloat64(task, near);
  const lengths = rowLengths(image);
  const order = Array.from(lengths.keys()).sort((i, j) => lengths[j]! - lengths[i]! || i - j);
  return {
    values: Float64Array.from(order, (i) => lengths[i]!),
    near: pickRows(near, order),
    far: await farVectors(task, image, lengths, order),
  };
}

/** Orthonormal rows along the rows of `image`, in the given order; any that complete them where the length is negligible. */
async function farVectors(
  task: SvdTask,
  image: Matrix64,
  lengths: Float64Array,
  order: readonly number[],
): Promise<Matrix64> {
  const largest = lengths[order[0]!]!;
  for (let threshold = negligible; threshold < 1; threshold *= 10) {
    const strong = order.filter((i) => lengths[i]! > threshold * largest);
    const rows = pickRows(image, strong);
    for (const [place, i] of strong.entries()) {
      const row = rows.data.subarray(place * image.cols, (place + 1) * image.cols);
      const scale = 1 / lengths[i]!;
      for (let c = 0; c < row.length; c++) row[c] = row[c]! * scale;
    }
    const isAccurate = strong.every((i) => lengths[i]! > accurate * largest);
    const polished = isAccurate ? rows : await polish(task, rows);
    if (polished !== undefined) return strong.length === task.rank ? polished : complete(task, polished);
  }
  throw new LowrankError('INTERNAL', 'singular vectors could not be made orthonormal');
}

/** Newton–Schulz steps X − (XXᵀ − I) X / 2 down to 1e-8; undefined where the rows are too far from orthonormal. */
async function polish({ products, signal }: SvdTask, rows: Matrix64): Promise<Matrix64 | undefined> {
  const { rows: p, cols: m } = rows;
  let current = rows;
  for (let step = 0; step < 8; step++) {
    const half = zeros64(p, p);
    await products.multiply(current, current, half, { transposeB: true, signal });
    const departure = 2 * halfDeparture(half.data, p);
    if (departure < 1e-8) return current;
    if (!(departure < 0.3)) return undefined;
    const correction = half.data.map((value) => -value);
    const next = zeros64(p, m);
    await products.multiply({ rows: p, cols: p, data: correction }, current, next, {
      add: { matrix: current, sign: 1 },
      signal,
    });
    current = next;
  }
  return undefined;
}

/** `rank` orthonormal rows that begin with the given ones: random rows, made orthogonal to these twice, then to each other. */
async function complete({ products, workers, m, rank, seed, signal }: SvdTask, rows: Matrix64): Promise<Matrix64> {
  const missing = rank - rows.rows;
  let extra: Matrix64 = {
    rows: missing,
    cols: m,
    data: Float64Array.from(randomBlock(missing, m, seed, 'completion')),
  };
  for (let pass = 0; pass < 2; pass++) {
    if (rows.rows > 0) {
      const overlap = zeros64(missing, rows.rows);
      await products.multiply(extra, rows, overlap, { transposeB: true, signal });
      const rest = zeros64(missing, m);
      await products.multiply(overlap, rows, rest, { add: { matrix: extra, sign: -1 }, signal });
      extra = rest;
    }
    const gram = zeros64(missing, missing);
    await products.multiply(extra, extra, gram, { transposeB: true, signal });
    const { inverse } = await workers.solve({ kind: 'inverseCholesky', matrix: gram.data, n: missing }, signal);
    if (inverse === undefined) throw new LowrankError('INTERNAL', 'random vectors were linearly dependent');
    const orthonormal = zeros64(missing, m);
    await products.multiply({ rows: missing, cols: missing, data: inverse }, extra, orthonormal, { signal });
    extra = orthonormal;
  }
  const all = zeros64(rank, m);
  all.data.set(rows.data);
  all.data.set(extra.data, rows.data.length);
  return all;
}

function rowLengths({ rows, cols, data }: Matrix64): Float64Array {
  const lengths = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    let sum = 0;
    for (let at = i * cols; at < (i + 1) * cols; at++) sum += data[at]! * data[at]!;
    lengths[i] = Math.sqrt(sum);
  }
  return lengths;
}

function pickRows({ cols, data }: Matrix64, order: readonly number[]): Matrix64 {
  const picked = zeros64(order.length, cols);
  for (const [place, i] of order.entries()) picked.data.set(data.subarray(i * cols, (i + 1) * cols), place * cols);
  return picked;
}
