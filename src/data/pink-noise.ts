import { fillNormal, randomStream } from '../random.js';
import type { Draws } from './draws.js';
import { inverseTransform } from './fourier.js';

/** A field of mean 0 and deviation 1 that goes on periodically. */
export type NoiseField = Float32Array;

/** Side of a field: a power of two. */
export const fieldSide = 256;

/**
 * `count` (even) fields of Gaussian noise whose amplitudes fall as frequency^−exponent: natural images have about 1.1
 * (Ruderman 1994: The statistics of natural images). The real and the imaginary part of one transform are two of them.
 */
export function pinkFields(seed: number, exponent: number, count: number): readonly NoiseField[] {
  const size = fieldSide * fieldSide;
  const amplitudes = amplitudesOf(exponent);
  const stream = randomStream(seed, 'pink noise');
  const normal = new Float32Array(2 * size);
  return Array.from({ length: count / 2 }, (_, index) => {
    fillNormal(stream, normal, index * normal.length);
    const real = amplitudes.map((amplitude, at) => amplitude * normal[2 * at]!);
    const imaginary = amplitudes.map((amplitude, at) => amplitude * normal[2 * at + 1]!);
    inverseTransform({ side: fieldSide, real, imaginary });
    return [standardized(real), standardized(imaginary)];
  }).flat();
}

function amplitudesOf(exponent: number): Float64Array {
  const amplitudes = new Float64Array(fieldSide * fieldSide);
  const frequency = (index: number): number => (index <= fieldSide / 2 ? index : index - fieldSide);
  for (let v = 0, at = 0; v < fieldSide; v++) {
    for (let u = 0; u < fieldSide; u++, at++) {
      const squared = frequency(u) ** 2 + frequency(v) ** 2;
      amplitudes[at] = squared === 0 ? 0 : squared ** (-exponent / 2);
    }
  }
  return amplitudes;
}

function standardized(values: Float64Array): NoiseField {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return Float32Array.from(values, (value) => (value - mean) / Math.sqrt(variance));
}

/** A view of a field: shifted, mirrored, its axes exchanged. Element (x, y) is `field[rows[y] + columns[x]]`. */
export interface FieldView {
  readonly field: NoiseField;
  readonly columns: Int32Array;
  readonly rows: Int32Array;
}

/** One of the fields, seen in one of 8 · 256² ways. */
export function drawView(fields: readonly NoiseField[], side: number, draws: Draws): FieldView {
  const field = fields[draws.whole(fields.length)]!;
  const isTransposed = draws.uniform() < 0.5;
  const axis = (step: number): Int32Array => {
    const first = draws.whole(fieldSide);
    const direction = draws.uniform() < 0.5 ? 1 : -1;
    return Int32Array.from({ length: side }, (_, i) => ((first + direction * i) & (fieldSide - 1)) * step);
  };
  const columns = axis(isTransposed ? fieldSide : 1);
  return { field, columns, rows: axis(isTransposed ? 1 : fieldSide) };
}
