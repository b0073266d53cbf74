import { LowrankError } from '../errors.js';
import { loadKernel, roomOf, type KernelMemory } from './kernel.js';
import type { Pixels } from './pixels.js';
import type { View } from './transform.js';

/** Per channel, in units of 1 = white: (x / 255 − mean) / deviation. */
export interface Normalization {
  readonly mean: readonly [number, number, number];
  readonly deviation: readonly [number, number, number];
}

/** Normalizations by name: those that published models were trained with. */
export const NORMALIZATIONS = {
  imagenet: { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] },
  cifar10: { mean: [0.4914, 0.4822, 0.4465], deviation: [0.2023, 0.1994, 0.201] },
  cifar100: { mean: [0.5071, 0.4867, 0.4408], deviation: [0.2675, 0.2565, 0.2761] },
  /** From −1 to 1. */
  symmetric: { mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5] },
  /** From 0 to 1. */
  unit: { mean: [0, 0, 0], deviation: [1, 1, 1] },
  /** From 0 to 255. */
  none: { mean: [0, 0, 0], deviation: [1 / 255, 1 / 255, 1 / 255] },
} as const satisfies Readonly<Record<string, Normalization>>;

/** How images are laid out for the model: [N, H, W, 3] or [N, 3, H, W]; bytes are not normalized. */
export interface OutputFormat {
  readonly type: 'uint8' | 'float32';
  readonly layout: 'nhwc' | 'nchw';
  /** For float32, which must have one; bytes need none. */
  readonly normalization?: Normalization | undefined;
  /** Images that a transform mirrors are given as they were, and named in `Batch.flips`. Default: they are mirrored. */
  readonly reportsFlips?: boolean;
}

/** Throws USAGE where the format is none, or is float32 without a normalization of finite numbers and no deviation of 0. */
export function checkFormat(format: OutputFormat): void {
  const { type, layout, normalization } = format;
  const choose = (what: string, value: unknown, choices: readonly string[]): void => {
    if (choices.includes(value as string)) return;
    throw new LowrankError('USAGE', `the ${what} of the images is ${String(value)}`, {
      place: `format.${what}`,
      remedy: `choose ${choices.join(' or ')}`,
    });
  };
  choose('type', type, ['uint8', 'float32']);
  choose('layout', layout, ['nhwc', 'nchw']);
  if (type === 'uint8' && normalization === undefined) return;
  const { mean, deviation } = normalization ?? {};
  const isThree = (values: unknown): values is Normalization['mean'] =>
    Array.isArray(values) && values.length === 3 && values.every((value) => Number.isFinite(value));
  if (isThree(mean) && isThree(deviation) && !deviation.includes(0)) return;
  const names = Object.keys(NORMALIZATIONS).join(', ');
  const shown = (values: unknown): string => (Array.isArray(values) ? values.join(', ') : String(values));
  throw new LowrankError(
    'USAGE',
    mean === undefined && deviation === undefined
      ? 'images of type float32 have no normalization'
      : `images cannot be normalized by mean ${shown(mean)}, deviation ${shown(deviation)}`,
    {
      place: 'format.normalization',
      remedy: `give one of NORMALIZATIONS (${names}), or a mean and a deviation of three finite numbers each, no deviation of 0`,
    },
  );
}

/** The 256 values of each channel, in float32 as torchvision computes them: ToDtype(scale=True), then Normalize. */
export function normalizationTable({
  mean,
  deviation,
}: Normalization): readonly [Float32Array, Float32Array, Float32Array] {
  const channel = (index: 0 | 1 | 2): Float32Array => {
    const m = Math.fround(mean[index]);
    const d = Math.fround(deviation[index]);
    return Float32Array.from({ length: 256 }, (_, x) => Math.fround(Math.fround(Math.fround(x / 255) - m) / d));
  };
  return [channel(0), channel(1), channel(2)];
}

/** Writes one image into its place of a batch, which holds exactly one; what the view leaves out becomes black. */
export type ImageWriter = (pixels: Pixels | undefined, view: View, target: Uint8Array | Float32Array) => void;

/** A writer for a format that `checkFormat` has passed. */
export function imageWriter({ type, layout, normalization }: OutputFormat): ImageWriter {
  const floats = type === 'float32' ? normalizationTable(normalization!) : undefined;
  const tables = floats ?? identityTables;
  const place = floats === undefined ? undefined : coveringWriter(layout, floats);
  return (pixels, view, target) => {
    const { width, height, left, top, isFlipped } = view;
    // Of one pixel and of one channel, in the target.
    const steps = layout === 'nhwc' ? ([3, 1] as const) : ([1, width * height] as const);
    const isCovered = pixels !== undefined && pixels.width === width && pixels.height === height;
    if (isCovered && place !== undefined) {
      place(pixels, isFlipped, target);
      return;
    }
    if (!isCovered) fillBlack(target, tables, steps, width * height);
    if (pixels === undefined) return;
    const column = isFlipped ? width - 1 - left : left;
    for (let y = 0; y < pixels.height; y++) {
      const to = ((top + y) * width + column) * steps[0];
      writeRow(pixels, y, tables, target, to, isFlipped ? -steps[0] : steps[0], steps[1]);
    }
  };
}

interface Kernel extends KernelMemory {
  place(
    source: number,
    width: number,
    rows: number,
    tables: number,
    target: number,
    pixelStep: number,
    channelStep: number,
    rowStep: number,
  ): void;
}

let kernel: Kernel | undefined;

/** Writes images that leave nothing black, as float32, in WebAssembly (place.wat). */
function coveringWriter(
  layout: OutputFormat['layout'],
  tables: readonly [Float32Array, Float32Array, Float32Array],
): (pixels: Pixels, isFlipped: boolean, target: Uint8Array | Float32Array) => void {
  const tableBytes = 3 * 256 * 4;
  return ({ data, width, height }, isFlipped, target) => {
    kernel ??= loadKernel('place') as Kernel;
    const targetAt = tableBytes + Math.ceil(data.length / 4) * 4;
    const bytes = roomOf(kernel, targetAt + target.byteLength);
    const floats = new Float32Array(bytes.buffer);
    for (const [channel, table] of tables.entries()) floats.set(table, channel * 256);
    bytes.set(data, tableBytes);
    const pixelBytes = layout === 'nhwc' ? 12 : 4;
    const channelBytes = layout === 'nhwc' ? 4 : 4 * width * height;
    const first = isFlipped ? targetAt + (width - 1) * pixelBytes : targetAt;
    const step = isFlipped ? -pixelBytes : pixelBytes;
    kernel.place(tableBytes, width, height, 0, first, step, channelBytes, width * pixelBytes);
    target.set(floats.subarray(targetAt / 4, targetAt / 4 + target.length));
  };
}

type Tables = readonly [Float32Array, Float32Array, Float32Array] | readonly [Uint8Array, Uint8Array, Uint8Array];

const identity = Uint8Array.from({ length: 256 }, (_, value) => value);
const identityTables: Tables = [identity, identity, identity];

function writeRow(
  { data, width }: Pixels,
  y: number,
  [red, green, blue]: Tables,
  target: Uint8Array | Float32Array,
  start: number,
  pixelStep: number,
  channelStep: number,
): void {
  const end = (y + 1) * width * 3;
  for (let from = y * width * 3, to = start; from < end; from += 3, to += pixelStep) {
    target[to] = red[data[from]!]!;
    target[to + channelStep] = green[data[from + 1]!]!;
    target[to + 2 * channelStep] = blue[data[from + 2]!]!;
  }
}

function fillBlack(
  target: Uint8Array | Float32Array,
  tables: Tables,
  [pixelStep, channelStep]: readonly [number, number],
  count: number,
): void {
  for (const [channel, table] of tables.entries()) {
    const black = table[0]!;
    for (let pixel = 0, to = channel * channelStep; pixel < count; pixel++, to += pixelStep) target[to] = black;
  }
}
