import type { DenseMatrix } from './workspace.js';

/** Which half of the coordinates an eigenvector of a merge lives in. */
export const [upper, lower] = [0, 2] as const;
const both = 1;

/** diag(d) + rho · z zᵀ in the basis of the rows `origin` … of `vectors`, columns `from` … `to` − 1. */
export interface RankOneUpdate {
  readonly vectors: DenseMatrix;
  readonly origin: number;
  readonly from: number;
  readonly to: number;
  readonly d: Float64Array;
  readonly z: Float64Array;
  /** `upper`, `both` or `lower` for each row. */
  readonly kind: Uint8Array;
  readonly rho: number;
}

/**
 * Splits off eigenpairs that are known without a root: those with z ≈ 0, and one of each two with d almost equal, which
 * a rotation of the two rows gives z = 0. Changes d, z, kind and rows of `vectors`. `order` sorts d. Returns the indices
 * of the rest, d ascending, and of those split off (LAPACK dlaed2's rule: the matrix moves by 8ε of its largest entry).
 */
export function deflate(
  update: RankOneUpdate,
  order: Int32Array,
): { readonly kept: number[]; readonly deflated: number[] } {
  const { d, z, kind, rho } = update;
  let largest = 0;
  for (let i = 0; i < d.length; i++) largest = Math.max(largest, Math.abs(d[i]!), Math.abs(z[i]!));
  const tolerance = 8 * Number.EPSILON * largest;
  const kept: number[] = [];
  const deflated: number[] = [];
  for (let place = 0; place < order.length; place++) {
    const i = order[place]!;
    if (rho * Math.abs(z[i]!) <= tolerance) {
      deflated.push(i);
      continue;
    }
    const last = kept.at(-1);
    if (last !== undefined) {
      const r = Math.sqrt(z[i]! * z[i]! + z[last]! * z[last]!);
      const c = z[i]! / r;
      const s = -z[last]! / r;
      const distance = d[i]! - d[last]!;
      if (Math.abs(distance * c * s) <= tolerance) {
        z[i] = r;
        z[last] = 0;
        rotateRows(update, last, i, c, s);
        if (kind[i] !== kind[last]) kind[i] = both;
        const moved = d[last]! * c * c + d[i]! * s * s;
        d[i] = d[last]! * s * s + d[i]! * c * c;
        d[last] = moved;
        deflated.push(last);
        kept.pop();
      }
    }
    kept.push(i);
  }
  return { kept, deflated };
}

/** Row a ← c · row a + s · row b, row b ← c · row b − s · row a. */
function rotateRows({ vectors, origin, from, to }: RankOneUpdate, a: number, b: number, c: number, s: number): void {
  const { data, stride } = vectors;
  const first = (origin + a) * stride;
  const second = (origin + b) * stride;
  for (let k = from; k < to; k++) {
    const x = data[first + k]!;
    const y = data[second + k]!;
    data[first + k] = c * x + s * y;
    data[second + k] = c * y - s * x;
  }
}
