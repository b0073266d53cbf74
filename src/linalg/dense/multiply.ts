import type { Block, DenseMatrix, Kernels } from './workspace.js';

/** A part of a matrix, by its first element. */
export interface View {
  readonly matrix: DenseMatrix;
  readonly row: number;
  readonly col: number;
}

/**
 * Writes columns `col` … `col` + 3, rows `from` … `to` − 1 of the right factor to `panel`, row by row, four numbers a row;
 * zeros where the factor has no such column.
 */
export type PanelWriter = (panel: Float64Array, col: number, from: number, to: number) => void;

/** Rows of the right factor that a panel holds: with four rows of the left factor they fit into a first-level cache. */
const panelDepth = 384;

/** Numbers that `multiplyAdd` needs for its panel. */
export const panelSize = 4 * panelDepth;

/**
 * C ← C + A · B. C is `rows` × `cols` from `c` on, in whole groups of four columns: up to three beyond `cols` are written
 * to (with the zeros the writer gives: unchanged). A is `rows` × `depth`; B comes from `write`. c.col is a multiple of 2.
 */
export function multiplyAdd(
  kernels: Kernels,
  panel: Block,
  c: View,
  a: View,
  rows: number,
  cols: number,
  depth: number,
  write: PanelWriter,
): void {
  if (rows === 0) return;
  const ldc = c.matrix.stride * 8;
  const lda = a.matrix.stride * 8;
  const cAddress = c.matrix.address + (c.row * c.matrix.stride + c.col) * 8;
  const aAddress = a.matrix.address + (a.row * a.matrix.stride + a.col) * 8;
  for (let from = 0; from < depth; from += panelDepth) {
    const to = Math.min(depth, from + panelDepth);
    for (let col = 0; col < cols; col += 4) {
      write(panel.data, col, from, to);
      kernels.multiplyPanel(cAddress + col * 8, ldc, aAddress + from * 8, lda, panel.address, rows, to - from);
    }
  }
}

/** B = scale · (the part from `b` on), `cols` columns wide. */
export function panelOf(b: View, cols: number, scale = 1): PanelWriter {
  const { data, stride } = b.matrix;
  const origin = b.row * stride + b.col;
  return (panel, col, from, to) => {
    const width = Math.min(4, cols - col);
    if (width === 4) {
      for (let k = from, at = 0; k < to; k++, at += 4) {
        const p = origin + k * stride + col;
        panel[at] = scale * data[p]!;
        panel[at + 1] = scale * data[p + 1]!;
        panel[at + 2] = scale * data[p + 2]!;
        panel[at + 3] = scale * data[p + 3]!;
      }
      return;
    }
    for (let k = from, at = 0; k < to; k++, at += 4) {
      const p = origin + k * stride + col;
      for (let j = 0; j < 4; j++) panel[at + j] = j < width ? scale * data[p + j]! : 0;
    }
  };
}

/** B = scale · (the part from `b` on, transposed): column j of B is row j of the part; `cols` columns. */
export function transposedPanelOf(b: View, cols: number, scale = 1): PanelWriter {
  const { data, stride } = b.matrix;
  const origin = b.row * stride + b.col;
  return (panel, col, from, to) => {
    for (let j = 0; j < 4; j++) {
      if (col + j >= cols) {
        for (let k = from, at = j; k < to; k++, at += 4) panel[at] = 0;
        continue;
      }
      const row = origin + (col + j) * stride;
      for (let k = from, at = j; k < to; k++, at += 4) panel[at] = scale * data[row + k]!;
    }
  };
}
