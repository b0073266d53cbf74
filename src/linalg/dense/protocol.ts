/** What a dense worker is asked, by kind of problem. Matrices are n × n, row-major, lower triangle read; those of products as said. */
export type DenseRequest =
  | { readonly kind: 'eigen'; readonly matrix: Float64Array; readonly n: number; readonly count: number }
  | { readonly kind: 'eigenvalues'; readonly matrix: Float64Array; readonly n: number }
  | { readonly kind: 'inverseCholesky'; readonly matrix: Float64Array; readonly n: number }
  | ProductRequest;

/** op(matrix) · op(right): op(matrix) is n × inner, op(right) inner × cols. */
export interface ProductRequest {
  readonly kind: 'product';
  readonly matrix: Float64Array;
  readonly n: number;
  readonly inner: number;
  readonly cols: number;
  readonly right: Float64Array;
  /** `matrix` is inner × n. */
  readonly transposeLeft: boolean;
  /** `right` is cols × inner. */
  readonly transposeRight: boolean;
}

/** The answer to each kind. */
export interface DenseResults {
  /** `values`: all n, largest first. `vectors`: count × n. */
  readonly eigen: { readonly values: Float64Array; readonly vectors: Float64Array };
  readonly eigenvalues: { readonly values: Float64Array };
  /** undefined: not positive definite to working precision. */
  readonly inverseCholesky: { readonly inverse: Float64Array | undefined };
  /** n × cols. */
  readonly product: { readonly product: Float64Array };
}

export type DenseResult = DenseResults[DenseRequest['kind']];

/** What comes back: a result, or the error's code and fact. */
export type DenseReply =
  { readonly result: DenseResult } | { readonly error: { readonly code: string; readonly fact: string } };

/** Multiplications of a request, but for a factor. */
export function workOf(request: DenseRequest): number {
  return request.kind === 'product' ? request.n * request.inner * request.cols : request.n ** 3;
}

/** The memory that moves to the worker with a request. */
export function memoryOf(request: DenseRequest): readonly ArrayBuffer[] {
  const arrays = request.kind === 'product' ? [request.matrix, request.right] : [request.matrix];
  return [...new Set(arrays.map(({ buffer }) => buffer as ArrayBuffer))];
}
