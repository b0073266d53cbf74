import { LowrankError } from '../errors.js';
import { lowerGram } from './gram.js';
import type { Operand } from './operand.js';
import { type SvdTask, zeros64 } from './svd-task.js';
import { mirrorLower } from './transpose.js';

/** ‖QQᵀ − I‖_F up to which the iteration below converges fast. */
const polishable = 0.5;
/** ‖QQᵀ − I‖_F after which one step, which leaves 5/16 of its cube, is down to float32's rounding. */
const lastStep = 0.02;

/**
 * An orthonormal basis, as rows, of the space that the rows of `y` span: Cholesky–QR with the Gram matrix and the
 * triangular product in float64, then steps of Q ← (QQᵀ)^(−1/2) Q, the root by its series, down to float32's rounding.
 * Row lengths may differ by any factor; directions, up to 1e7. undefined where they differ more.
 */
export async function orthonormalRows(task: SvdTask, y: Operand): Promise<Operand | undefined> {
  let q = y;
  for (let pass = 0; pass < 3; pass++) {
    const next = await choleskyQr(task, q);
    if (q !== y) task.memory.give(q);
    if (next === undefined) return undefined;
    q = next;
    const polished = await polish(task, q);
    if (polished === undefined) continue;
    task.memory.give(q);
    return polished;
  }
  throw new LowrankError('INTERNAL', `${y.rows} vectors of ${y.cols} numbers could not be made orthonormal`);
}

/** One pass of Cholesky–QR: rows that are nearly orthonormal, row i from the first i rows of `y`. */
export async function choleskyQr(task: SvdTask, y: Operand): Promise<Operand | undefined> {
  const { products, workers, memory, signal } = task;
  const p = y.rows;
  const gram = zeros64(p, p);
  await lowerGram(task, y, gram, { inFloat64: true, signal });
  const { inverse } = await workers.solve({ kind: 'inverseCholesky', matrix: gram.data, n: p }, signal);
  if (inverse === undefined) return undefined;
  const q = memory.take(p, y.cols);
  await products.multiply({ rows: p, cols: p, data: inverse }, y, q, { inFloat64: true, signal });
  return q;
}

/** undefined where Q is too far from orthonormal. */
async function polish(task: SvdTask, q: Operand): Promise<Operand | undefined> {
  const { products, scratch, memory, signal } = task;
  const p = q.rows;
  let current = q;
  for (;;) {
    // With H = (QQᵀ − I) / 2: (I + 2H)^(−1/2) = I − H + 3/2 H² − …
    const half = scratch.take32(p, p);
    await lowerGram(task, current, half, { signal });
    mirrorLower(half.data, p);
    const departure = 2 * halfDeparture(half.data, p);
    if (!(departure < polishable)) {
      scratch.give(half);
      if (current !== q) memory.give(current);
      return undefined;
    }
    const correction = scratch.take32(p, p);
    const scaled = scratch.take32(p, p);
    for (let i = 0; i < half.data.length; i++) scaled.data[i] = 1.5 * half.data[i]!;
    await products.multiply(scaled, half, correction, { add: { matrix: half, sign: -1 }, signal });
    const next = memory.take(p, q.cols);
    await products.multiply(correction, current, next, { add: { matrix: current, sign: 1 }, signal });
    scratch.give(half, scaled, correction);
    if (current !== q) memory.give(current);
    if (departure < lastStep) return next;
    current = next;
  }
}

/** Turns a Gram matrix G into (G − I) / 2; returns its Frobenius norm. */
export function halfDeparture(gram: Float32Array | Float64Array, p: number): number {
  let sum = 0;
  for (let i = 0; i < p; i++) {
    gram[i * p + i] = gram[i * p + i]! - 1;
    for (let at = i * p; at < (i + 1) * p; at++) {
      const value = gram[at]! / 2;
      gram[at] = value;
      sum += value * value;
    }
  }
  return Math.sqrt(sum);
}
