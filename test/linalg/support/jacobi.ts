/**
 * Singular values of a rows × cols matrix in float64, largest first, by one-sided Jacobi rotations of its rows (Hestenes
 * 1958): no Gram matrix, no bidiagonal form, nothing in common with the code under test. Small singular values come out
 * to high relative accuracy.
 */
export function jacobiSingularValues(data: ArrayLike<number>, rows: number, cols: number): Float64Array {
  // Rows are rotated: there should be few of them.
  const isWide = rows <= cols;
  const [count, length] = isWide ? [rows, cols] : [cols, rows];
  const vectors = Array.from({ length: count }, (_, i) =>
    Float64Array.from({ length }, (__, j) => (isWide ? data[i * cols + j]! : data[j * cols + i]!)),
  );
  const squares = vectors.map((v) => dot(v, v));
  const floor = squares.reduce((sum, value) => sum + value, 0) * 1e-32;
  for (let sweep = 0; sweep < 40; sweep++) {
    let rotations = 0;
    for (let p = 0; p < count; p++) {
      for (let q = p + 1; q < count; q++) {
        const a = squares[p]!;
        const b = squares[q]!;
        const c = dot(vectors[p]!, vectors[q]!);
        if (Math.abs(c) <= 1e-15 * Math.sqrt(a * b) || Math.abs(c) <= floor) continue;
        rotations++;
        const zeta = (b - a) / (2 * c);
        const t = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
        const cosine = 1 / Math.sqrt(1 + t * t);
        const sine = cosine * t;
        const x = vectors[p]!;
        const y = vectors[q]!;
        for (let k = 0; k < length; k++) {
          const xk = x[k]!;
          const yk = y[k]!;
          x[k] = cosine * xk - sine * yk;
          y[k] = sine * xk + cosine * yk;
        }
        squares[p] = dot(x, x);
        squares[q] = dot(y, y);
      }
    }
    if (rotations === 0) return Float64Array.from(squares, Math.sqrt).sort().reverse();
  }
  throw new Error('the Jacobi oracle did not converge');
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < x.length; k++) sum += x[k]! * y[k]!;
  return sum;
}
