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

/**
 * The eigenpairs of diag(T₁, T₂) + |coupling| u uᵀ from those of T₁ and T₂; vectors of the last `wanted` only. Its parts
 * are functions of their own with plain loops: in one piece it takes the optimizing compiler longer than all merges take.
 */
function mergeHalves(
  solution: Solution,
  from: number,
  middle: number,
  to: number,
  coupling: number,
  wanted: number,
): void {
  const { vectors, values, secular } = solution;
  const size = to - from;
  const d = values.slice(from, to);
  const z = new Float64Array(size);
  const kind = new Uint8Array(size);
  tornVector(vectors, from, middle, to, coupling, z, kind);
  const rho = 2 * Math.abs(coupling);
  const { kept, deflated } = deflate({ vectors, origin: from, from, to, d, z, kind, rho }, ascending(d));
  const poles = gathered(d, kept);
  const weights = gathered(z, kept);
  const roots = solveSecular(poles, weights, rho, kept.length, secular.data, secular.stride);
  // Eigenpairs by number: the roots of the secular equation, then the deflated ones.
  const all = new Float64Array(size);
  all.set(roots);
  all.set(gathered(d, deflated), roots.length);
  const order = ascending(all);
  const chosen = order.subarray(size - wanted);
  const chosenRoots = chosen.filter((pair) => pair < roots.length);
  // By half: each half of the new vectors is then one product with neighbouring columns of the secular ones.
  const columns = columnsByKind(kept, kind);
  secularVectors(secular, poles, weights, columns, chosenRoots);
  multiplyHalves(solution, kept, kind, columns, from, middle, to, chosenRoots.length);
  placeRows(solution, chosen, roots.length, deflated, from, to, wanted);
  values.set(gathered(all, order), from);
}

/** z = Q u / √2, so that ‖z‖ = 1 and rho = 2 |coupling|; `kind`: the half that each row of Q lives in. */
function tornVector(
  { data, stride }: DenseMatrix,
  from: number,
  middle: number,
  to: number,
  coupling: number,
  z: Float64Array,
  kind: Uint8Array,
): void {
  const sign = coupling < 0 ? -Math.SQRT1_2 : Math.SQRT1_2;
  for (let row = from; row < middle; row++) {
    z[row - from] = data[row * stride + middle - 1]! * Math.SQRT1_2;
    kind[row - from] = upper;
  }
  for (let row = middle; row < to; row++) {
    z[row - from] = data[row * stride + middle]! * sign;
    kind[row - from] = lower;
  }
}

/** The places of the values from the smallest to the largest. */
function ascending(values: Float64Array): Int32Array {
  return Int32Array.from(values.keys()).sort((a, b) => values[a]! - values[b]! || a - b);
}

function gathered(values: Float64Array, places: ArrayLike<number>): Float64Array {
  const result = new Float64Array(places.length);
  for (let i = 0; i < result.length; i++) result[i] = values[places[i]!]!;
  return result;
}

/** The places in `kept` of upper rows, then of rows of both halves, then of lower ones. */
function columnsByKind(kept: readonly number[], kind: Uint8Array): Int32Array {
  const columns = new Int32Array(kept.length);
  let count = 0;
  for (let wanted = upper; wanted <= lower; wanted++) {
    for (let i = 0; i < kept.length; i++) if (kind[kept[i]!] === wanted) columns[count++] = i;
  }
  return columns;
}

/** New vectors of the chosen roots, into `product`. */
function multiplyHalves(
  solution: Solution,
  kept: readonly number[],
  kind: Uint8Array,
  columns: Int32Array,
  from: number,
  middle: number,
  to: number,
  rows: number,
): void {
  const { product } = solution;
  const sources = new Int32Array(columns.length);
  let upperEnd = 0;
  let lowerBegin = 0;
  for (let c = 0; c < columns.length; c++) {
    const row = kept[columns[c]!]!;
    sources[c] = from + row;
    if (kind[row] === upper) upperEnd++;
    if (kind[row] !== lower) lowerBegin++;
  }
  for (let row = 0; row < rows; row++) product.data.fill(0, row * product.stride, row * product.stride + to - from);
  multiplyHalf(solution, sources, 0, lowerBegin, from, from, middle, rows);
  multiplyHalf(solution, sources, upperEnd, columns.length, from, middle, to, rows);
}

/** Moves the chosen vectors to the last `wanted` rows: those of roots from `product`, deflated ones from where they are. */
function placeRows(
  { vectors, product, secular }: Solution,
  chosen: Int32Array,
  rootCount: number,
  deflated: readonly number[],
  from: number,
  to: number,
  wanted: number,
): void {
  const { data, stride } = vectors;
  const size = to - from;
  // By way of `secular`, which is no longer needed: a deflated row may lie where another one goes.
  let saved = 0;
  for (let i = 0; i < chosen.length; i++) {
    if (chosen[i]! < rootCount) continue;
    const begin = (from + deflated[chosen[i]! - rootCount]!) * stride;
    secular.data.set(data.subarray(begin + from, begin + to), saved++ * secular.stride);
  }
  let root = 0;
  saved = 0;
  for (let i = 0; i < chosen.length; i++) {
    const isRoot = chosen[i]! < rootCount;
    const source = isRoot ? product : secular;
    const begin = (isRoot ? root++ : saved++) * source.stride;
    data.set(source.data.subarray(begin, begin + size), (to - wanted + i) * stride + from);
  }
}

/**
 * Turns the differences dᵢ − λ_j in `secular` into the unit eigenvectors of the chosen roots, in rows 0, 1, …, their
 * entries in the order of `columns`. Weights are recomputed so that the roots are exact for them (Löwner's formula).
 */
function secularVectors(
  { data, stride }: DenseMatrix,
  poles: Float64Array,
  weights: Float64Array,
  columns: Int32Array,
  chosen: Int32Array,
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
  for (let i = 0; i < count; i++) squares[i] = Math.sign(weights[i]!) * Math.sqrt(Math.abs(squares[i]!));
  const exact = squares;
  const entries = new Float64Array(count);
  for (let place = 0; place < chosen.length; place++) {
    const j = chosen[place]!;
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
  sources: Int32Array,
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
