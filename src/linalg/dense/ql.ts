import { LowrankError } from '../../errors.js';

/** Rows of a row-major array that are rotated along: row i belongs to diagonal entry i. */
export interface RotatedRows {
  readonly data: Float64Array;
  readonly stride: number;
  /** Numbers per row. */
  readonly width: number;
}

/** Sweeps that one eigenvalue may take; two to three is usual. */
const mostSweeps = 60;

/**
 * Eigenvalues of the symmetric tridiagonal matrix with diagonal d[from…to−1] and off-diagonal e[from…to−2], in place and
 * in no order; e[from…to−1] is destroyed. With `rows` = Zᵀ (row i of the identity to begin with) the rows become the
 * eigenvectors.
 * Off-diagonal entries below ε/8 of `norm`, the largest entry of this or of a larger matrix that it is a part of, count
 * as zero.
 *
 * Implicit QL with Wilkinson's shift (Dubrulle, Martin and Wilkinson 1968; EISPACK imtql2). Throws NUMERIC where it does
 * not converge, which only non-finite input brings about.
 */
export function implicitQl(
  d: Float64Array,
  e: Float64Array,
  from: number,
  to: number,
  rows?: RotatedRows,
  norm = tridiagonalNorm(d, e, from, to),
): void {
  const floor = (norm * Number.EPSILON) / 8;
  for (let low = from; low < to; low++) {
    for (let sweep = 0; ; sweep++) {
      const split = findSplit(d, e, low, to, floor);
      if (split === low) break;
      if (sweep === mostSweeps) {
        throw new LowrankError('NUMERIC', `an eigenvalue did not converge in ${mostSweeps} sweeps of QL`);
      }
      let g = (d[low + 1]! - d[low]!) / (2 * e[low]!);
      let r = Math.sqrt(g * g + 1);
      g = d[split]! - d[low]! + e[low]! / (g + (g >= 0 ? r : -r));
      let s = 1;
      let c = 1;
      let p = 0;
      let i = split - 1;
      for (; i >= low; i--) {
        const f = s * e[i]!;
        const b = c * e[i]!;
        r = Math.sqrt(f * f + g * g);
        e[i + 1] = r;
        if (r === 0) {
          // Underflow: the matrix splits here.
          d[i + 1] = d[i + 1]! - p;
          e[split] = 0;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1]! - p;
        const t = (d[i]! - g) * s + 2 * c * b;
        p = s * t;
        d[i + 1] = g + p;
        g = c * t - b;
        if (rows !== undefined) rotate(rows, i, c, s);
      }
      if (r === 0 && i >= low) continue;
      d[low] = d[low]! - p;
      e[low] = g;
      e[split] = 0;
    }
  }
}

/** The largest entry. */
export function tridiagonalNorm(d: Float64Array, e: Float64Array, from: number, to: number): number {
  let norm = 0;
  for (let i = from; i < to; i++) norm = Math.max(norm, Math.abs(d[i]!), i < to - 1 ? Math.abs(e[i]!) : 0);
  return norm;
}

/** The end of the unreduced block that begins at `low`. */
function findSplit(d: Float64Array, e: Float64Array, low: number, to: number, floor: number): number {
  for (let m = low; m < to - 1; m++) {
    if (Math.abs(e[m]!) <= Math.max(floor, Number.EPSILON * (Math.abs(d[m]!) + Math.abs(d[m + 1]!)))) return m;
  }
  return to - 1;
}

/** Row i ← c · row i − s · row i+1, row i+1 ← s · row i + c · row i+1. */
function rotate({ data, stride, width }: RotatedRows, i: number, c: number, s: number): void {
  const first = i * stride;
  const second = first + stride;
  for (let k = 0; k < width; k++) {
    const x = data[first + k]!;
    const y = data[second + k]!;
    data[second + k] = s * x + c * y;
    data[first + k] = c * x - s * y;
  }
}
