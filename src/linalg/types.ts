import type { Scratch } from './scratch.js';

/** Dense, row-major, float32. `data.length` = rows · cols. */
export interface Matrix {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float32Array;
}

export interface GemmOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Memory for the result, of its size. Default: new. */
  readonly into?: Float32Array;
}

export interface SvdOptions {
  /** Seed of the random start. */
  readonly seed?: number;
  readonly signal?: AbortSignal | undefined;
}

/** A ≈ left · diag(singularValues) · right, the best approximation of its rank in the Frobenius norm. */
export interface TruncatedSvd {
  /** rows × rank, orthonormal columns. */
  readonly left: Matrix;
  /** Largest first, `rank` of them. */
  readonly singularValues: Float64Array;
  /** rank × cols, orthonormal rows. */
  readonly right: Matrix;
}

/** Dense, row-major, float64. */
export interface Matrix64 {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float64Array;
}

/** Leading eigenvectors of a symmetric matrix. */
export interface Eigen {
  /** All of them, largest first. */
  readonly values: Float64Array;
  /** count × n, orthonormal rows. */
  readonly vectors: Matrix64;
}

/** Heavy linear algebra: GEMMs in onnxruntime or TensorFlow.js, small dense problems in float64 in worker threads. */
export interface Linalg {
  /** Memory for what is of use for a short time. */
  readonly scratch: Scratch;
  /** op(A) · op(B). */
  gemm(a: Matrix, b: Matrix, options?: GemmOptions): Promise<Matrix>;
  /**
   * The `rank` leading singular triplets, ‖A − Â‖_F ≤ (1 + 1e-4) × the optimum.
   * Throws NUMERIC where A holds NaN or infinity, ABORTED where the signal fires.
   */
  truncatedSvd(a: Matrix, rank: number, options?: SvdOptions): Promise<TruncatedSvd>;
  /** All min(rows, cols) singular values in float64 accuracy, largest first. */
  singularValues(a: Matrix, options?: SvdOptions): Promise<Float64Array>;
  /** op(A) · op(B) in float64, whatever the types of the factors. */
  gemm64(
    a: Matrix | Matrix64,
    b: Matrix | Matrix64,
    options?: Pick<GemmOptions, 'transposeA' | 'transposeB'> & Pick<SvdOptions, 'signal'>,
  ): Promise<Matrix64>;
  /** Eigenvalues and `count` leading eigenvectors of a symmetric matrix, whose memory is given up. Throws as `truncatedSvd`. */
  symmetricEigen(a: Matrix64, count: number, options?: Pick<SvdOptions, 'signal'>): Promise<Eigen>;
  /**
   * X with XᵀX = A⁻¹, lower triangular; undefined where A is not positive definite to working precision. The memory of A is
   * given up.
   */
  inverseRoot(a: Matrix64, options?: Pick<SvdOptions, 'signal'>): Promise<Matrix64 | undefined>;
  close(): Promise<void>;
}
