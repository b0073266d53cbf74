/** Eigenvalues, smallest first, and eigenvectors as the ROWS of `vectors` (n × n, row-major). */
export interface SymmetricEigen {
  readonly values: Float64Array;
  readonly vectors: Float64Array;
}

/**
 * Eigen-decomposition of a real symmetric matrix (n × n, row-major; destroyed): Householder reduction to tridiagonal form,
 * then QL with implicit shifts (Golub and Van Loan, Matrix Computations, 8.3). O(n³), float64.
 */
export function symmetricEigen(a: Float64Array, n: number): SymmetricEigen {
  const d = new Float64Array(n);
  const e = new Float64Array(n);
  const taus = new Float64Array(n);
  // Reduce from the front: column k below the diagonal becomes a Householder vector, kept in row k of `a` right of it.
  const p = new Float64Array(n);
  for (let k = 0; k < n - 2; k++) {
    const row = k * n;
    let scale = 0;
    for (let i = k + 1; i < n; i++) scale = Math.max(scale, Math.abs(a[row + i]!));
    d[k] = a[row + k]!;
    if (scale === 0) continue;
    let sum = 0;
    for (let i = k + 1; i < n; i++) {
      const x = a[row + i]! / scale;
      a[row + i] = x;
      sum += x * x;
    }
    const alpha = a[row + k + 1]!;
    const norm = alpha >= 0 ? -Math.sqrt(sum) : Math.sqrt(sum);
    e[k] = norm * scale;
    const head = alpha - norm;
    a[row + k + 1] = head;
    const tau = -1 / (norm * head);
    taus[k] = tau;
    // p = τ A v, K = τ/2 · vᵀp, w = p − K v; A ← A − v wᵀ − w vᵀ on the lower right block (both triangles are kept).
    p.fill(0);
    for (let i = k + 1; i < n; i++) {
      const vi = a[row + i]!;
      const at = i * n;
      let dot = a[at + i]! * vi;
      for (let j = i + 1; j < n; j++) {
        const x = a[at + j]!;
        dot += x * a[row + j]!;
        p[j] = p[j]! + x * vi;
      }
      p[i] = p[i]! + dot;
    }
    let k2 = 0;
    for (let i = k + 1; i < n; i++) {
      p[i] = p[i]! * tau;
      k2 += p[i]! * a[row + i]!;
    }
    k2 *= tau / 2;
    for (let i = k + 1; i < n; i++) p[i] = p[i]! - k2 * a[row + i]!;
    for (let i = k + 1; i < n; i++) {
      const vi = a[row + i]!;
      const pi = p[i]!;
      const at = i * n;
      for (let j = i; j < n; j++) a[at + j] = a[at + j]! - vi * p[j]! - pi * a[row + j]!;
    }
  }
  if (n > 1) {
    d[n - 2] = a[(n - 2) * n + n - 2]!;
    e[n - 2] = a[(n - 2) * n + n - 1]!;
  }
  if (n > 0) d[n - 1] = a[n * n - 1]!;
  // Rows of z are eigenvectors in the basis of the tridiagonal matrix.
  const z = new Float64Array(n * n);
  for (let i = 0; i < n; i++) z[i * n + i] = 1;
  implicitQl(d, e, n, z);
  // Back: apply the reflections in reverse order to each eigenvector.
  for (let r = 0; r < n; r++) {
    const at = r * n;
    for (let k = n - 3; k >= 0; k--) {
      const tau = taus[k]!;
      if (tau === 0) continue;
      const row = k * n;
      let dot = 0;
      for (let i = k + 1; i < n; i++) dot += a[row + i]! * z[at + i]!;
      dot *= tau;
      for (let i = k + 1; i < n; i++) z[at + i] = z[at + i]! - dot * a[row + i]!;
    }
  }
  const order = Array.from(d.keys()).sort((x, y) => d[x]! - d[y]!);
  const values = Float64Array.from(order, (i) => d[i]!);
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => vectors.set(z.subarray(from * n, (from + 1) * n), to * n));
  return { values, vectors };
}

function implicitQl(d: Float64Array, e: Float64Array, n: number, z: Float64Array): void {
  for (let l = 0; l < n; l++) {
    for (let iteration = 0; ; iteration++) {
      let m = l;
      for (; m < n - 1; m++) {
        const size = Math.abs(d[m]!) + Math.abs(d[m + 1]!);
        if (Math.abs(e[m]!) <= 1.1e-16 * size) break;
      }
      if (m === l) break;
      if (iteration > 60) break;
      let g = (d[l + 1]! - d[l]!) / (2 * e[l]!);
      let r = Math.hypot(g, 1);
      g = d[m]! - d[l]! + e[l]! / (g + (g >= 0 ? r : -r));
      let s = 1;
      let c = 1;
      let p = 0;
      let i = m - 1;
      for (; i >= l; i--) {
        let f = s * e[i]!;
        const b = c * e[i]!;
        r = Math.hypot(f, g);
        e[i + 1] = r;
        if (r === 0) {
          d[i + 1] = d[i + 1]! - p;
          e[m] = 0;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1]! - p;
        r = (d[i]! - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        const x = i * n;
        const y = x + n;
        for (let k = 0; k < n; k++) {
          f = z[y + k]!;
          const zi = z[x + k]!;
          z[y + k] = s * zi + c * f;
          z[x + k] = c * zi - s * f;
        }
      }
      if (r === 0 && i >= l) continue;
      d[l] = d[l]! - p;
      e[l] = g;
      e[m] = 0;
    }
  }
}
