import type { Operand, RealMatrix } from './operand.js';
import type { ProductMemory } from './product-memory.js';
import type { Products } from './products.js';
import type { Scratch } from './scratch.js';
import type { WorkerPool } from './worker-pool.js';

/**
 * One decomposition of a matrix that is at least as wide as it is tall (its transpose is taken where it is not). `near`
 * vectors belong to the short side, eigenvectors of the Gram matrix A Aᵀ; `far` vectors to the long one. Both are kept as
 * rows: near ones rank × n, far ones rank × m.
 */
export interface SvdTask {
  readonly products: Products;
  readonly workers: WorkerPool;
  readonly scratch: Scratch;
  /** Where what large products share lies. */
  readonly memory: ProductMemory;
  /** n × m, in float32, in `memory` */
  readonly a: Operand;
  readonly n: number;
  readonly m: number;
  readonly rank: number;
  /** ‖A‖_F² */
  readonly squaredNorm: number;
  readonly seed: number;
  readonly signal: AbortSignal | undefined;
}

/** A ≈ Σ valuesᵢ nearᵢᵀ farᵢ, largest first. */
export interface SingularTriplets {
  readonly values: Float64Array;
  readonly near: RealMatrix;
  readonly far: RealMatrix;
}

export type Matrix32 = RealMatrix & { readonly data: Float32Array };
export type Matrix64 = RealMatrix & { readonly data: Float64Array };

export function zeros32(rows: number, cols: number): Matrix32 {
  return { rows, cols, data: new Float32Array(rows * cols) };
}

export function zeros64(rows: number, cols: number): Matrix64 {
  return { rows, cols, data: new Float64Array(rows * cols) };
}
