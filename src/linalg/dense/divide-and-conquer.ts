import { deflate, lower, upper } from './deflation.js';
import { multiplyAdd, panelSize, type PanelWriter } from './multiply.js';
import { implicitQl, tridiagonalNorm } from './ql.js';
import { solveSecular } from './secular.js';
import { type Block, type DenseMatrix, padded, type Workspace } from './workspace.js';

/** Blocks up to this size are solved by QL. */
const leafSize = 32;

/** Numbers of workspace that `solveTridiagonal` allocates. */
export function tridiagonalSpace(n: number): number {
  return 3 * n * padded(n) + panelSize + 8;
}

/** The state of one solution: rows and values `from` … `to` − 1 belong to the block [from, to) of the matrix. */
interface Solution {
  readonly workspace: Workspace;
  readonly panel: Block;
  /** Largest entry of the matrix. */
  readonly norm: number;
  /** Eigenvectors as rows, zero outside of their block's columns. */
  readonly vectors: DenseMatrix;
  /** Ascending in each block. */
  readonly values: Float64Array;
  /** New eigenvectors of a merge, in columns 0 … size − 1. */
  readonly product: DenseMatrix;
  /** Eigenvectors of the rank-one update of a merge, as rows. */
  readonly secular: DenseMatrix;
}

/**
 * Eigenvalues (ascending) and eigenvectors (rows) of the symmetric tridiagonal matrix with diagonal `d` and off-diagonal
 * `e` (n numbers, the last of them unused); both are destroyed. Only the last `wanted` rows are eigenvectors, those of
 * the largest eigenvalues; the others hold nothing.
 *
 * Cuppen's divide and conquer with the deflation of Dongarra and Sorensen (1987) and the eigenvectors of Gu and Eisenstat
 * (1995), which are orthogonal to working precision without extended arithmetic. Throws NUMERIC for non-finite input.
 */
export function solveTridiagonal(
  workspace: Workspace,
  d: Float64Array,
  e: Float64Array,
  wanted: number,
): { readonly values: Float64Array; readonly vectors: DenseMatrix } {
  const n = d.length;
  const solution: Solution = {
    workspace,
    panel: workspace.allocate(panelSize),
    norm: tridiagonalNorm(d, e, 0, n),
    vectors: workspace.matrix(n, n),
    values: d,
    product: workspace.matrix(n, n),
    secular: workspace.matrix(n, n),
  };
  // Tear at every boundary first: T = diag(T₁, T₂) + |e| u uᵀ, u = (0 … 0, 1, ±1, 0 … 0).
  const tear = (from: number, to: number): void => {
    if (to - from <= leafSize) return;
    const middle = middleOf(from, to);
    const coupling = Math.abs(e[middle - 1]!);
    d[middle - 1] = d[middle - 1]! - coupling;
    d[middle] = d[middle]! - coupling;
    tear(from, middle);
    tear(middle, to);
  };
  const solve = (from: number, to: number): void => {
    if (to - from <= leafSize) {
      solveLeaf(solution, e, from, to);
      return;
    }
    const middle = middleOf(from, to);
    solve(from, middle);
    solve(middle, to);
    mergeHalves(solution, from, middle, to, e[middle - 1]!, to - from === n ? wanted : to - from);
  };
  tear(0, n);
  solve(0, n);
  return { values: d, vectors: solution.vectors };
}

/** A multiple of 4: rows of both halves begin aligned. */
function middleOf(from: number, to: number): number {
  return from + ((to - from) >> 3) * 4;
}

function solveLeaf({ vectors, values, norm }: Solution, e: Float64Array, from: number, to: number): void {
  const { data, stride } = vectors;
  const size = to - from;
  const z = new Float64Array(size * size);
  for (let i = 0; i < size; i++) z[i * size + i] = 1;
  const d = values.slice(from, to);
  implicitQl(d, e.slice(from, to), 0, size, { data: z, stride: size, width: size }, norm);
  const order = Array.from(d.keys()).sort((a, b) => d[a]! - d[b]!);
  for (const [place, source] of order.entries()) {
    values[from + place] = d[source]!;
    data.set(z.subarray(source * size, (source + 1) * size), (from + place) * stride + from);
  }
}

/** An eigenpair of a merge: root `root` of the secular equation, or the deflated vector in row `row`. */
interface Pair {
  readonly value: number;
  readonly root: number;
  readonly row: number;
}

/** The eigenpairs of diag(T₁, T₂) + |coupling| u uᵀ from those of T₁ and T₂; vectors of the last `wanted` only. */
function mergeHalves(
  solution: Solution,
  from: number,
  middle: number,
  to: number,
  coupling: number,
  wanted: number,
): void {
  const { vectors, values, secular, product } = solution;
  const { data, stride } = vectors;
  const size = to - from;
  const d = values.slice(from, to);
  // z = Q u / √2, so that ‖z‖ = 1 and rho = 2 |coupling|.
  const z = new Float64Array(size);
  const kind = new Uint8Array(size);
  const sign = coupling < 0 ? -Math.SQRT1_2 : Math.SQRT1_2;
  for (let i = 0; i < size; i++) {
    const isUpper = from + i < middle;
    z[i] = isUpper
      ? data[(from + i) * stride + middle - 1]! * Math.SQRT1_2
      : data[(from + i) * stride + middle]! * sign;
    kind[i] = isUpper ? upper : lower;
  }
  const rho = 2 * Math.abs(coupling);
  const order = Array.from(d.keys()).sort((a, b) => d[a]! - d[b]! || a - b);
  const { kept, deflated } = deflate({ vectors, origin: from, from, to, d, z, kind, rho }, order);
  const poles = Float64Array.from(kept, (i) => d[i]!);
  const weights = Float64Array.from(kept, (i) => z[i]!);
  const roots = solveSecular(poles, weights, rho, kept.length, secular.data, secular.stride);
  const pairs: Pair[] = [
    ...Array.from(roots, (value, root) => ({ value, root, row: -1 })),
    ...deflated.map((i) => ({ value: d[i]!, root: -1, row: from + i })),
  ].sort((a, b) => a.value - b.value || a.root - b.root || a.row - b.row);
  const chosen = pairs.slice(size - wanted);
  // By half: each half of the new vectors is then one product with neighbouring columns of the secular ones.
  const columns = Array.from(kept.keys()).sort((a, b) => kind[kept[a]!]! - kind[kept[b]!]! || a - b);
  const chosenRoots = chosen.filter(({ root }) => root >= 0).map(({ root }) => root);
  secularVectors(secular, poles, weights, columns, chosenRoots);
  const sources = columns.map((i) => from + kept[i]!);
  const upperEnd = columns.filter((i) => kind[kept[i]!] === upper).length;
  const lowerBegin = columns.filter((i) => kind[kept[i]!] !== lower).length;
  for (let row = 0; row < chosenRoots.length; row++) {
    product.data.fill(0, row * product.stride, row * product.stride + size);
  }
  multiplyHalf(solution, sources, 0, lowerBegin, from, from, middle, chosenRoots.length);
  multiplyHalf(solution, sources, upperEnd, kept.length, from, middle, to, chosenRoots.length);
  // Deflated rows move too: by way of `secular`, which is no longer needed.
  let saved = 0;
  for (const { row } of chosen) {
    if (row >= 0) secular.data.set(data.subarray(row * stride + from, row * stride + to), saved++ * secular.stride);
  }
  let root = 0;
  saved = 0;
  for (const [place, { row }] of chosen.entries()) {
    const source = row < 0 ? product : secular;
    const begin = (row < 0 ? root++ : saved++) * source.stride;
    data.set(source.data.subarray(begin, begin + size), (to - wanted + place) * stride + from);
  }
  for (const [place, { value }] of pairs.entries()) values[from + place] = value;
}

/**
 * Turns the differences dᵢ − λ_j in `secular` into the unit eigenvectors of the chosen roots, in rows 0, 1, …, their
 * entries in the order of `columns`. Weights are recomputed so that the roots are exact for them (Löwner's formula).
 */
function secularVectors(
  { data, stride }: DenseMatrix,
  poles: Float64Array,
  weights: Float64Array,
  columns: readonly number[],
  chosen: readonly number[],
): void {
  const count = poles.length;
  const squares = new Float64Array(count).fill(1);
  for (let j = 0; j < count; j++) {
    const row = j * stride;
    const pole = poles[j]!;
    for (let i = 0; i < j; i++) squares[i] = squares[i]! * (data[row + i]! / (poles[i]! - pole));
    squares[j] = squares[j]! * -data[row + j]!;
    for (let i = j + 1; i < count; i++) squares[i] = squares[i]! * (data[row + i]! / (poles[i]! - pole));
  }
  const exact = squares.map((square, i) => Math.sign(weights[i]!) * Math.sqrt(Math.abs(square)));
  const entries = new Float64Array(count);
  for (const [place, j] of chosen.entries()) {
    let norm = 0;
    for (let i = 0; i < count; i++) {
      const entry = exact[i]! / data[j * stride + i]!;
      entries[i] = entry;
      norm += entry * entry;
    }
    const scale = 1 / Math.sqrt(norm);
    // place ≤ j, and the differences of row j have been read.
    for (let c = 0; c < count; c++) data[place * stride + c] = entries[columns[c]!]! * scale;
  }
}

/**
 * Columns `begin` … `end` − 1 of the new vectors of a merge: the secular vectors' columns `first` … `last` − 1 times the
 * rows `sources[first …]` of the old ones.
 */
function multiplyHalf(
  { workspace, panel, vectors, product, secular }: Solution,
  sources: readonly number[],
  first: number,
  last: number,
  from: number,
  begin: number,
  end: number,
  rows: number,
): void {
  const { data, stride } = vectors;
  const write: PanelWriter = (target, col, low, high) => {
    const width = Math.min(4, end - begin - col);
    for (let k = low, at = 0; k < high; k++, at += 4) {
      const p = sources[first + k]! * stride + begin + col;
      for (let j = 0; j < 4; j++) target[at + j] = j < width ? data[p + j]! : 0;
    }
  };
  multiplyAdd(
    workspace.kernels,
    panel,
    { matrix: product, row: 0, col: begin - from },
    { matrix: secular, row: 0, col: first },
    rows,
    end - begin,
    last - first,
    write,
  );
}
