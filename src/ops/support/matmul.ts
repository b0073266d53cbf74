import { broadcast } from './broadcast.js';
import { shapeError } from './fail.js';
import { showDims } from './layout.js';

/** numpy.matmul: the last two axes multiply, those before broadcast, vectors lend a dimension of 1 that goes again. */
export function matmulDims(a: readonly number[], b: readonly number[]): number[] {
  if (a.length === 0 || b.length === 0) throw shapeError('MatMul of a scalar');
  const left = a.length === 1 ? [1, ...a] : a;
  const right = b.length === 1 ? [...b, 1] : b;
  if (left.at(-1) !== right.at(-2)) throw shapeError(`inner sizes differ: ${showDims(a)} × ${showDims(b)}`);
  const batch = broadcast(left.slice(0, -2), right.slice(0, -2));
  const rows = a.length === 1 ? [] : [left.at(-2)!];
  const columns = b.length === 1 ? [] : [right.at(-1)!];
  return [...batch, ...rows, ...columns];
}

/** Gemm: A′·B′ where ′ transposes if asked; [M, N] and the inner size K. */
export function gemmDims(
  a: readonly number[],
  b: readonly number[],
  transA: boolean,
  transB: boolean,
): { readonly m: number; readonly n: number; readonly k: number } {
  if (a.length !== 2 || b.length !== 2) throw shapeError(`Gemm of ${showDims(a)} and ${showDims(b)}`);
  const [m, k] = transA ? [a[1]!, a[0]!] : [a[0]!, a[1]!];
  const [inner, n] = transB ? [b[1]!, b[0]!] : [b[0]!, b[1]!];
  if (k !== inner) throw shapeError(`inner sizes differ: ${showDims(a)} × ${showDims(b)}`);
  return { m, n, k };
}
