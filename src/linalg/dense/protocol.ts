/** What a dense worker is asked, by kind of problem. Matrices are n × n, row-major, lower triangle read. */
export type DenseRequest =
  | { readonly kind: 'eigen'; readonly matrix: Float64Array; readonly n: number; readonly count: number }
  | { readonly kind: 'eigenvalues'; readonly matrix: Float64Array; readonly n: number }
  | { readonly kind: 'inverseCholesky'; readonly matrix: Float64Array; readonly n: number };

/** The answer to each kind. */
export interface DenseResults {
  /** `values`: all n, largest first. `vectors`: count × n. */
  readonly eigen: { readonly values: Float64Array; readonly vectors: Float64Array };
  readonly eigenvalues: { readonly values: Float64Array };
  /** undefined: not positive definite to working precision. */
  readonly inverseCholesky: { readonly inverse: Float64Array | undefined };
}

export type DenseResult = DenseResults[DenseRequest['kind']];

/** What comes back: a result, or the error's code and fact. */
export type DenseReply =
  { readonly result: DenseResult } | { readonly error: { readonly code: string; readonly fact: string } };
