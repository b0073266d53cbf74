import { createKernel } from '../../../src/factorize/activations/index.js';
import { compare } from '../../../src/factorize/function-error.js';
import type { InitProblem } from '../../../src/factorize/types.js';

/** R of a pair, and its derivatives. */
export interface Objective {
  /** E‖σ(Ŵx) − σ(Wx)‖². */
  readonly value: number;
  /** ∂R/∂left, rows × rank. */
  readonly byLeft: Float64Array;
  /** ∂R/∂right, rank × cols. */
  readonly byRight: Float64Array;
}

/**
 * What `lfai` minimizes, in float64 throughout and without regard to speed. With C = ⟨w, v⟩: ∂R/∂v = (∂R/∂ρ)/(αβ)·w + (∂R/∂β − (ρ/β)·∂R/∂ρ)/β·v; 0 for v = 0, where R is not smooth.
 */
export function objective(
  { weight, rowsPerNeuron, activation, rank }: Pick<InitProblem, 'weight' | 'rowsPerNeuron' | 'activation' | 'rank'>,
  left: Float64Array,
  right: Float64Array,
): Objective {
  const { rows, cols, data } = weight;
  const product = new Float64Array(rows * cols);
  forEntries(rows, rank, (row, k) => {
    const scale = left[row * rank + k]!;
    for (let col = 0; col < cols; col++) product[row * cols + col]! += scale * right[k * cols + col]!;
  });
  const kernel = createKernel(activation);
  const gradient = new Float64Array(rows * cols);
  const size = rowsPerNeuron * cols;
  let value = 0;
  for (let start = 0; start < data.length; start += size) {
    const { alpha, student } = compare(data, product, start, size);
    const risk = kernel.teacher(alpha).risk(student);
    value += risk.value;
    const { beta } = student;
    if (beta === 0) continue;
    const cosine = 1 - student.chordSquared / 2;
    const byTeacher = alpha > 0 ? risk.byCosine / (alpha * beta) : 0;
    const byStudent = (risk.byNorm - (cosine / beta) * risk.byCosine) / beta;
    for (let i = start; i < start + size; i++) gradient[i] = byTeacher * data[i]! + byStudent * product[i]!;
  }
  const byLeft = new Float64Array(rows * rank);
  const byRight = new Float64Array(rank * cols);
  forEntries(rows, rank, (row, k) => {
    let sum = 0;
    const scale = left[row * rank + k]!;
    for (let col = 0; col < cols; col++) {
      const slope = gradient[row * cols + col]!;
      sum += slope * right[k * cols + col]!;
      byRight[k * cols + col]! += scale * slope;
    }
    byLeft[row * rank + k] = sum;
  });
  return { value, byLeft, byRight };
}

function forEntries(rows: number, cols: number, visit: (row: number, col: number) => void): void {
  for (let row = 0; row < rows; row++) for (let col = 0; col < cols; col++) visit(row, col);
}
