/** A square of complex numbers, row by row; the side is a power of two. */
export interface ComplexField {
  readonly side: number;
  readonly real: Float64Array;
  readonly imaginary: Float64Array;
}

/** The sum over (v, u) of field[v, u] · e^(2πi(vy + ux)/side), without a factor, in place: rows, then columns. */
export function inverseTransform({ side, real, imaginary }: ComplexField): void {
  const line = { real: new Float64Array(side), imaginary: new Float64Array(side) };
  const factors = rootsOfUnity(side);
  const transform = (start: number, step: number): void => {
    for (let i = 0, at = start; i < side; i++, at += step) {
      line.real[i] = real[at]!;
      line.imaginary[i] = imaginary[at]!;
    }
    transformLine(line, factors);
    for (let i = 0, at = start; i < side; i++, at += step) {
      real[at] = line.real[i]!;
      imaginary[at] = line.imaginary[i]!;
    }
  };
  for (let row = 0; row < side; row++) transform(row * side, 1);
  for (let column = 0; column < side; column++) transform(column, side);
}

interface Line {
  readonly real: Float64Array;
  readonly imaginary: Float64Array;
}

/** e^(2πik/side) for k < side / 2. */
function rootsOfUnity(side: number): Line {
  const angles = Float64Array.from({ length: side / 2 }, (_, k) => (2 * Math.PI * k) / side);
  return { real: angles.map(Math.cos), imaginary: angles.map(Math.sin) };
}

/** Cooley and Tukey 1965, radix 2, in place. */
function transformLine({ real, imaginary }: Line, factors: Line): void {
  const length = real.length;
  for (let i = 1, j = 0; i < length; i++) {
    let bit = length >> 1;
    for (; (j & bit) !== 0; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [real[i], real[j]] = [real[j]!, real[i]!];
      [imaginary[i], imaginary[j]] = [imaginary[j]!, imaginary[i]!];
    }
  }
  for (let half = 1; half < length; half *= 2) {
    const stride = length / (2 * half);
    for (let start = 0; start < length; start += 2 * half) {
      for (let k = 0; k < half; k++) {
        const [a, b] = [start + k, start + k + half];
        const [cosine, sine] = [factors.real[k * stride]!, factors.imaginary[k * stride]!];
        const re = cosine * real[b]! - sine * imaginary[b]!;
        const im = cosine * imaginary[b]! + sine * real[b]!;
        real[b] = real[a]! - re;
        imaginary[b] = imaginary[a]! - im;
        real[a] = real[a]! + re;
        imaginary[a] = imaginary[a]! + im;
      }
    }
  }
}
