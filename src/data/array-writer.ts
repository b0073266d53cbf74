import { LowrankError } from '../errors.js';
import type { OutputFormat } from './normalize.js';
import { npyHeader, npyNumbers } from '../files/npy.js';
import type { AsStored } from './transform.js';

/** Writes the array of an .npy file into its place of a batch, which holds exactly one. */
type ArrayWriter = (bytes: Uint8Array, target: Uint8Array | Float32Array) => void;

/** What 1 of a normalization is in an array: bytes are pixels, of which 255 is white. */
function scaleOf({ type }: AsStored['arrays']): number {
  return type === 'uint8' ? 255 : 1;
}

/** Throws USAGE where a normalization is of another number of channels, or divides by 0; INPUT where a model takes bytes, and gets none. */
export function checkArrayFormat({ arrays, channelAxis }: AsStored, { type, normalization }: OutputFormat): void {
  const { dims } = arrays;
  if (type === 'uint8') {
    if (arrays.type === 'uint8') return;
    throw new LowrankError('INPUT', `the model takes bytes, and the arrays are ${arrays.type}`, {
      remedy: 'write them as uint8',
    });
  }
  const channels = dims[channelAxis]!;
  const areOfChannels = (values: readonly number[] | undefined): values is readonly number[] =>
    (values?.length === 1 || values?.length === channels) && values.every((value) => Number.isFinite(value));
  const { mean, deviation } = normalization ?? {};
  if (areOfChannels(mean) && areOfChannels(deviation) && !deviation.includes(0)) return;
  const shown = (values: readonly number[] | undefined): string => values?.join(', ') ?? 'none';
  const numbers = `mean ${shown(mean)}, deviation ${shown(deviation)}`;
  throw new LowrankError('USAGE', `arrays of [${dims.join(', ')}] cannot be normalized by ${numbers}`, {
    remedy: `give --mean and --std as ${channels} numbers each, or as one for all`,
  });
}

/**
 * A writer of arrays of one type and shape: bytes as they are where the model takes bytes; else (x / scale − mean) / deviation in
 * float32, by channel, with the scale of `scaleOf`. The writer throws INPUT for an array of another type or shape, and for numbers that are not finite.
 */
export function arrayWriter({ arrays, channelAxis: axis }: AsStored, format: OutputFormat): ArrayWriter {
  const { type, dims } = arrays;
  const kind = `${type} [${dims.join(', ')}]`;
  const channels = dims[axis]!;
  const { mean = [0], deviation = [1] } = format.normalization ?? {};
  const scale = scaleOf(arrays);
  const step = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  const of = (values: readonly number[], channel: number): number =>
    Math.fround(values[values.length === 1 ? 0 : channel]!);
  const means = Float32Array.from({ length: channels }, (_, channel) => of(mean, channel));
  const deviations = Float32Array.from({ length: channels }, (_, channel) => of(deviation, channel));
  return (bytes, target) => {
    const header = npyHeader(bytes);
    if (header.type !== type || header.dims.join() !== dims.join()) {
      throw new LowrankError(
        'INPUT',
        `the array is ${header.type} [${header.dims.join(', ')}] where the others are ${kind}`,
      );
    }
    const numbers = npyNumbers(header, bytes);
    if (target instanceof Uint8Array) {
      target.set(numbers as Uint8Array);
      return;
    }
    for (let at = 0; at < target.length; at++) {
      const channel = Math.floor(at / step) % channels;
      const value = Math.fround(Number(numbers[at]!) / scale);
      target[at] = Math.fround(value - means[channel]!) / deviations[channel]!;
    }
    const odd = target.findIndex((value) => !Number.isFinite(value));
    if (odd < 0) return;
    throw new LowrankError(
      'INPUT',
      `number ${odd} of the array is ${String(numbers[odd])}, which is ${target[odd]!} to the model`,
    );
  };
}
