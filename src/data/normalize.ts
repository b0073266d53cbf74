import { LowrankError } from '../errors.js';
import { mostChannels } from '../channels.js';
import { loadKernel, roomOf, type KernelMemory } from './kernel.js';
import type { Pixels } from './pixels.js';
import type { Transform, View } from './transform.js';

/** A number of red, of green and of blue, or one of grey; of arrays one of each channel, or one for all. */
export type PerChannel = readonly number[];

/** Per channel, in units of 1 = white: (x / 255 − mean) / deviation. */
export interface Normalization {
  readonly mean: PerChannel;
  readonly deviation: PerChannel;
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

/**
 * A normalization for pictures of so many channels: one number stands for all of them. undefined where colors differ in it
 * and the pictures are grey.
 */
export function normalizationFor({ mean, deviation }: Normalization, channels: number): Normalization | undefined {
  const [means, deviations] = [mean, deviation].map((values) => perChannel(values, channels));
  return means === undefined || deviations === undefined ? undefined : { mean: means, deviation: deviations };
}

function perChannel(values: PerChannel, channels: number): PerChannel | undefined {
  const isOneForAll = values.every((value) => value === values[0]);
  if (isOneForAll) return Array.from({ length: channels < 0 ? 3 : channels }, () => values[0]!);
  // Three of colors are also there for pictures of more channels, which are drawn.
  const fits = channels < 0 || values.length === channels || (channels !== 1 && values.length === 3);
  return fits ? values : undefined;
}

/** NORMALIZATIONS for pictures of so many channels: of grey ones those in which colors do not differ. */
export function namedNormalizations(channels: number): readonly (readonly [string, Normalization])[] {
  return Object.entries(NORMALIZATIONS).flatMap(([name, each]) => {
    const normalization = normalizationFor(each, channels);
    return normalization === undefined ? [] : [[name, normalization] as const];
  });
}

/** How images are laid out for the model: [N, H, W, C] or [N, C, H, W]; bytes are not normalized. */
export interface OutputFormat {
  readonly type: 'uint8' | 'float32';
  readonly layout: 'nhwc' | 'nchw';
  /**
   * 1: grey, the luma that Pillow's `convert("L")` gives; 3: colors; 4: colors and alpha; others, up to 16: pictures of as many bands
   * (see `decodeBands`). Default: 1 where the normalization has one number, else 3.
   */
  readonly channels?: number | undefined;
  /** For float32, which must have one; bytes need none. */
  readonly normalization?: Normalization | undefined;
  /** Images that a transform mirrors are given as they were, and named in `Batch.flips`. Default: they are mirrored. */
  readonly reportsFlips?: boolean;
}

/** Throws USAGE where the format is none of pictures, or is float32 without a normalization of finite numbers and no deviation of 0. */
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
  checkChannels(format.channels);
  if (type === 'uint8' && normalization === undefined) return;
  const { mean, deviation } = normalization ?? {};
  const channels = format.channels ?? (Array.isArray(mean) && mean.length === 1 ? 1 : 3);
  const areOfChannels = (values: unknown): values is readonly number[] =>
    Array.isArray(values) && values.length === channels && values.every((value) => Number.isFinite(value));
  if (areOfChannels(mean) && areOfChannels(deviation) && !deviation.includes(0)) return;
  const names = Object.keys(NORMALIZATIONS).join(', ');
  const count = channels === 1 ? 'one finite number' : `${channels === 3 ? 'three' : channels} finite numbers`;
  const numbers = `a mean and a deviation of ${count} each`;
  const wanted = channels === 3 ? `one of NORMALIZATIONS (${names}), or ${numbers}` : numbers;
  const shown = (values: unknown): string => (Array.isArray(values) ? values.join(', ') : String(values));
  throw new LowrankError(
    'USAGE',
    mean === undefined && deviation === undefined
      ? 'images of type float32 have no normalization'
      : `images cannot be normalized by mean ${shown(mean)}, deviation ${shown(deviation)}`,
    {
      place: 'format.normalization',
      remedy: `give ${wanted}, no deviation of 0`,
    },
  );
}

function checkChannels(channels: number | undefined): void {
  if (channels === undefined || (Number.isSafeInteger(channels) && channels >= 1 && channels <= mostChannels)) return;
  throw new LowrankError('USAGE', `the channels of the images are ${channels}`, {
    place: 'format.channels',
    remedy: `choose 1, 3, or another number up to ${mostChannels}`,
  });
}

/** The 256 values of each channel, in float32 as torchvision computes them: ToDtype(scale=True), then Normalize. */
export function normalizationTable({ mean, deviation }: Normalization): readonly Float32Array[] {
  return mean.map((value, channel) => {
    const m = Math.fround(value);
    const d = Math.fround(deviation[channel]!);
    return Float32Array.from({ length: 256 }, (_, x) => Math.fround(Math.fround(Math.fround(x / 255) - m) / d));
  });
}

/** Channels of the images of a format. */
export function channelsOf({ channels, normalization }: OutputFormat): number {
  return channels ?? normalization?.mean.length ?? 3;
}

/** What one sample of a batch is: [H, W, C], [C, H, W], or as arrays are stored. */
export function sampleDims(transform: Transform, format: OutputFormat): readonly number[] {
  if (transform.kind === 'as-stored') return transform.arrays.dims;
  const { width, height } = transform;
  const channels = channelsOf(format);
  return format.layout === 'nhwc' ? [height, width, channels] : [channels, height, width];
}

/**
 * Writes one image into its place of a batch, which holds exactly one; what the view leaves out becomes black. Where the format
 * has one channel, the three of the pixels are the same; where it has more than three, the pixels are the three from `first` on
 * (default: 0), and without pixels all are written.
 */
export type ImageWriter = (
  pixels: Pixels | undefined,
  view: View,
  target: Uint8Array | Float32Array,
  first?: number,
) => void;

/** A writer for a format that `checkFormat` has passed. */
export function imageWriter(format: OutputFormat): ImageWriter {
  const { type, layout, normalization } = format;
  const channels = channelsOf(format);
  const floats = type === 'float32' ? normalizationTable(normalization!) : undefined;
  const tables = floats ?? Array.from({ length: channels }, () => identity);
  const place = floats?.length === 3 ? coveringWriter(layout, floats) : undefined;
  return (pixels, view, target, first = 0) => {
    const { width, height, left, top, isFlipped } = view;
    // Of one pixel and of one channel, in the target.
    const steps = layout === 'nhwc' ? ([channels, 1] as const) : ([1, width * height] as const);
    const isCovered = pixels !== undefined && pixels.width === width && pixels.height === height;
    if (isCovered && place !== undefined) {
      place(pixels, isFlipped, target);
      return;
    }
    const written = pixels === undefined || channels <= 3 ? tables : tables.slice(first, first + 3);
    const start = first * steps[1];
    if (!isCovered) fillBlack(target, written, steps, width * height, start);
    if (pixels === undefined) return;
    const column = isFlipped ? width - 1 - left : left;
    for (let y = 0; y < pixels.height; y++) {
      const to = start + ((top + y) * width + column) * steps[0];
      writeRow(pixels, y, written, target, to, isFlipped ? -steps[0] : steps[0], steps[1]);
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

/** Writes color images that leave nothing black, as float32, in WebAssembly (place.wat). */
function coveringWriter(
  layout: OutputFormat['layout'],
  tables: readonly Float32Array[],
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

type Tables = readonly (Float32Array | Uint8Array)[];

const identity = Uint8Array.from({ length: 256 }, (_, value) => value);

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
    target[to] = red![data[from]!]!;
    if (green === undefined) continue;
    target[to + channelStep] = green[data[from + 1]!]!;
    if (blue === undefined) continue;
    target[to + 2 * channelStep] = blue[data[from + 2]!]!;
  }
}

function fillBlack(
  target: Uint8Array | Float32Array,
  tables: Tables,
  [pixelStep, channelStep]: readonly [number, number],
  count: number,
  start: number,
): void {
  for (const [channel, table] of tables.entries()) {
    const black = table[0]!;
    for (let pixel = 0, to = start + channel * channelStep; pixel < count; pixel++, to += pixelStep) target[to] = black;
  }
}
