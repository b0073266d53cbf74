import { LowrankError } from '../errors.js';
import type { Matrix } from './types.js';

/** ‖A‖_F². Throws NUMERIC where A holds NaN or infinity. */
function squaredNorm(a: Matrix): number {
  const { data } = a;
  // Four sums: additions need not wait for each other.
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  const end = data.length - (data.length % 4);
  for (let i = 0; i < end; i += 4) {
    s0 += data[i]! * data[i]!;
    s1 += data[i + 1]! * data[i + 1]!;
    s2 += data[i + 2]! * data[i + 2]!;
    s3 += data[i + 3]! * data[i + 3]!;
  }
  for (let i = end; i < data.length; i++) s0 += data[i]! * data[i]!;
  const sum = s0 + s1 + (s2 + s3);
  // float32 squared does not overflow float64, nor do the sums of what fits into memory.
  if (Number.isFinite(sum)) return sum;
  const at = data.findIndex((value) => !Number.isFinite(value));
  const place = `row ${Math.floor(at / a.cols)}, column ${at % a.cols}`;
  throw new LowrankError('NUMERIC', `a matrix of ${a.rows} rows and ${a.cols} columns holds ${data[at]}`, { place });
}

/** A matrix whose squares neither overflow nor vanish in float32: scale · A, scale a power of two, A itself where it may. */
export interface ScaledMatrix {
  readonly matrix: Matrix;
  readonly scale: number;
  /** ‖scale · A‖_F² */
  readonly squaredNorm: number;
}

/** Throws NUMERIC where A holds NaN or infinity. */
export function scaleToSquare(a: Matrix): ScaledMatrix {
  const norm = squaredNorm(a);
  // Root mean square of the entries: their squares, and sums of many, are then far from both ends of float32.
  const typical = Math.sqrt(norm / Math.max(1, a.data.length));
  if (norm === 0 || (typical > 1e-8 && typical < 1e8)) return { matrix: a, scale: 1, squaredNorm: norm };
  const scale = 2 ** -Math.round(Math.log2(typical));
  const data = a.data.map((value) => value * scale);
  return { matrix: { ...a, data }, scale, squaredNorm: norm * scale * scale };
}
