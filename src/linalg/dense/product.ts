import { multiplyAdd, panelOf, panelSize, transposedPanelOf } from './multiply.js';
import type { ProductRequest } from './protocol.js';
import { createWorkspace, padded } from './workspace.js';

/** The product of a request, row-major without gaps. */
export function denseProduct(request: Omit<ProductRequest, 'kind'>): Float64Array {
  const { matrix, right, n: rows, inner, cols, transposeLeft, transposeRight } = request;
  const workspace = createWorkspace(rows * (padded(inner) + padded(cols)) + panelSize + 16);
  const left = workspace.matrix(rows, inner);
  const product = workspace.matrix(rows, cols);
  const panel = workspace.allocate(panelSize);
  if (transposeLeft) {
    for (let k = 0, at = 0; k < inner; k++) {
      for (let i = 0; i < rows; i++, at++) left.data[i * left.stride + k] = matrix[at]!;
    }
  } else {
    for (let i = 0; i < rows; i++) left.data.set(matrix.subarray(i * inner, (i + 1) * inner), i * left.stride);
  }
  // The right factor is only read, panel by panel: it stays outside the kernels' memory.
  const stored = { rows: inner, cols, stride: transposeRight ? inner : cols, address: 0, data: right };
  const origin = { row: 0, col: 0 };
  const write = (transposeRight ? transposedPanelOf : panelOf)({ matrix: stored, ...origin }, cols);
  const target = { matrix: product, ...origin };
  multiplyAdd(workspace.kernels, panel, target, { matrix: left, ...origin }, rows, cols, inner, write);
  const result = new Float64Array(rows * cols);
  for (let i = 0; i < rows; i++) {
    const from = i * product.stride;
    result.set(product.data.subarray(from, from + cols), i * cols);
  }
  return result;
}
