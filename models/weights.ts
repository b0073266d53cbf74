import { LowrankError } from '../src/errors.js';
import { FLOAT } from '../src/onnx/data-type.js';
import type { ByteSource } from '../src/files/source.js';
import { Tensor } from '../src/onnx/tensor.js';
import { fillTruncatedNormal, randomStream, truncatedDeviation } from '../src/random.js';

const elementBytes = Float32Array.BYTES_PER_ELEMENT;

/**
 * A float32 tensor of truncated normal numbers, mean 0, standard deviation `deviation` (that of the numbers as they are,
 * truncated), none beyond 2 / 0.8796 of it. It is computed piece by piece as it is read and never held, so a model of any
 * size is written in little memory. Its values depend on the seed, its name and its standard deviation alone.
 */
export function truncatedNormal(name: string, dims: readonly number[], deviation: number, seed: number): Tensor {
  const size = dims.reduce((product, dim) => product * dim, 1) * elementBytes;
  const stream = randomStream(seed, name);
  const scale = deviation / truncatedDeviation;
  const label = `tensor '${name}'`;
  const read = (start: number, end: number): Uint8Array => {
    if (start < 0 || end > size || start > end) {
      throw new LowrankError('FORMAT', `bytes ${start} to ${end} wanted, but there are only ${size}`, { place: label });
    }
    const first = Math.floor(start / elementBytes);
    const values = new Float32Array(Math.ceil(end / elementBytes) - first);
    fillTruncatedNormal(stream, values, first, scale);
    return new Uint8Array(values.buffer, start - first * elementBytes, end - start);
  };
  const source: ByteSource = {
    size,
    label,
    read,
    readInto: (target, start) => {
      const piece = 1 << 20;
      for (let at = 0; at < target.length; at += piece) {
        target.set(read(start + at, start + Math.min(at + piece, target.length)), at);
      }
    },
    close: () => undefined,
  };
  return Tensor.ofRange(name, FLOAT, dims, { source, start: 0, end: size });
}

/** A float32 tensor of one number. */
export function constant(name: string, dims: readonly number[], value: number): Tensor {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return Tensor.ofFloats(name, dims, new Float32Array(size).fill(value));
}
