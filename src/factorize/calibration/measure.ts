import { LowrankError, throwIfAborted } from '../../errors.js';
import type { Matrix } from '../../linalg/types.js';
import { fillWords, randomStream } from '../../random.js';
import type { RuntimeTensor, Session } from '../../runtime/types.js';
import type { PositionInput, Probe } from './probe.js';
import type { CalibrationImages, Moments } from './types.js';

/** What the runs told of one layer; patches in the order (in·kh + y)·kw + x. */
export interface Measured {
  readonly moments: Moments | undefined;
  readonly inputs: Matrix | undefined;
  readonly observed: Matrix | undefined;
}

export interface MeasureContext {
  /** With the layer and the image it decides which positions are drawn. */
  readonly seed: number;
  /** Rows of samples that are kept; images behind it only count for moments. */
  readonly mostSamples: number;
  readonly signal: AbortSignal | undefined;
  readonly onImages?: (done: number) => void;
}

/**
 * Runs all images through a model with probes. Memory depends on the sizes of the layers and on `mostSamples` alone: sums are
 * kept in float64 and added to run by run. Throws NUMERIC, naming the layer, for what is not finite.
 */
export async function measure(
  session: Session,
  images: Pick<CalibrationImages, 'images' | 'batches'>,
  probes: readonly Probe[],
  context: MeasureContext,
): Promise<ReadonlyMap<string, Measured>> {
  const collectors = probes.map((probe) => collectorOf(probe, images.images, context.mostSamples));
  let done = 0;
  for await (const { feeds, size } of images.batches()) {
    throwIfAborted(context.signal);
    if (size === 0) continue;
    const positions = probes.flatMap((probe) =>
      [probe.positions.moments, probe.positions.samples].flatMap((input) =>
        input === undefined ? [] : [[input.name, drawPositions(input, context.seed, done, size)] as const],
      ),
    );
    const outputs = await session.run({ ...feeds, ...Object.fromEntries(positions) }, undefined, {
      signal: context.signal,
    });
    for (const collector of collectors) collector.add(outputs, size);
    done += size;
    context.onImages?.(done);
  }
  return new Map(probes.map((probe, index) => [probe.layer, collectors[index]!.result()]));
}

/** One position out of each of `drawn` equal stretches of an image, for `size` images from `first` on. */
function drawPositions(
  { name, perImage, drawn }: PositionInput,
  seed: number,
  first: number,
  size: number,
): RuntimeTensor {
  const words = new Int32Array(size * drawn);
  fillWords(randomStream(seed, name), words, first * drawn);
  const data = new BigInt64Array(words.length);
  for (let image = 0, at = 0; image < size; image++) {
    for (let k = 0; k < drawn; k++, at++) {
      const share = (k + (words[at]! >>> 0) / 2 ** 32) / drawn;
      data[at] = BigInt(image * perImage + Math.min(perImage - 1, Math.floor(share * perImage)));
    }
  }
  return { type: 'int64', dims: [data.length], data };
}

interface Collector {
  add(outputs: Readonly<Record<string, RuntimeTensor>>, images: number): void;
  result(): Measured;
}

function collectorOf(probe: Probe, images: number, mostSamples: number): Collector {
  const { size } = probe;
  const second = new Float64Array(probe.gram === undefined ? 0 : size * size);
  const sum = new Float64Array(probe.gram === undefined ? 0 : size);
  let count = 0;
  const rows = Math.min(mostSamples, images * probe.samplePositions);
  const inputs = probe.inputs === undefined ? undefined : sampler(rows, probe.label);
  const observed = probe.observed === undefined ? undefined : sampler(rows, probe.label);
  return {
    add(outputs, batch) {
      if (probe.gram !== undefined) {
        addTo(second, outputs[probe.gram]!.data as Float32Array, probe.label);
        addTo(sum, outputs[probe.sum!]!.data as Float32Array, probe.label);
        count += batch * probe.momentPositions;
      }
      inputs?.add(outputs[probe.inputs!]!);
      observed?.add(outputs[probe.observed!]!);
    },
    result() {
      const mean = sum.map((value) => value / count);
      const data = second.map((value) => value / count);
      const moments = probe.gram === undefined ? undefined : { count, mean, second: { rows: size, cols: size, data } };
      return { moments, inputs: inputs?.result(), observed: observed?.result() };
    },
  };
}

/** Rows of samples up to `most`. */
function sampler(most: number, layer: string): { add(tensor: RuntimeTensor): void; result(): Matrix } {
  let data: Float32Array | undefined;
  let cols = 0;
  let filled = 0;
  return {
    add(tensor) {
      cols = tensor.dims[1]!;
      data ??= new Float32Array(most * cols);
      const rows = Math.min(tensor.dims[0]!, most - filled);
      const values = (tensor.data as Float32Array).subarray(0, rows * cols);
      refuseNonFinite(values, layer);
      data.set(values, filled * cols);
      filled += rows;
    },
    result: () => ({ rows: filled, cols, data: (data ?? new Float32Array(0)).subarray(0, filled * cols) }),
  };
}

function addTo(sum: Float64Array, values: Float32Array, layer: string): void {
  refuseNonFinite(values, layer);
  for (let i = 0; i < values.length; i++) sum[i] = sum[i]! + values[i]!;
}

function refuseNonFinite(values: Float32Array, layer: string): void {
  // x − x is 0 for every finite number.
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! - values[i]!;
  if (sum === 0) return;
  throw new LowrankError('NUMERIC', 'what the layer sees on the calibration images is not finite', {
    place: `layer '${layer}'`,
    remedy: `check --normalization, or keep the layer with --exclude '${layer}'`,
  });
}
