import sharp from 'sharp';
import { LowrankError, messageOf } from '../errors.js';
import { decodeBands } from './bands.js';
import { areUsualChannels, mostChannels } from '../channels.js';
import { decodeRegion, imageHeaderOf } from './decode.js';
import { createExtentReader } from './files.js';
import { arrayWriter } from './array-writer.js';
import { channelsOf, type ImageWriter, imageWriter, type OutputFormat, sampleDims } from './normalize.js';
import { bytesOf, checkLength, isNpy, npyHeader } from '../files/npy.js';
import { drawsOf } from './order.js';
import type { Pixels } from './pixels.js';
import { bandsRenderer } from './render-bands.js';
import { render } from './render.js';
import { planResampling, resample, type Interpolation } from './resample.js';
import { type Draw, shorterSide, type Transform } from './transform.js';
import type { Extent, ImageContent } from './types.js';

/** Where a thread gets an image: from a file by itself, or in the message. */
export type TaskContent = ImageContent | { readonly extent: Extent };

/** Decodes, transforms and normalizes images into their places of a batch. */
export interface RenderTask {
  readonly kind: 'render';
  readonly settings: RenderTaskSettings;
  readonly epoch: number;
  /** The batch: every image takes the same number of bytes. */
  readonly buffer: SharedArrayBuffer;
  readonly images: readonly {
    readonly slot: number;
    /** In the source: with the epoch it decides the random numbers. */
    readonly index: number;
    readonly content: TaskContent;
  }[];
}

/** The same object for all tasks of a loader in a thread: `id` tells whether it is. */
export interface RenderTaskSettings {
  readonly id: number;
  readonly seed: number;
  readonly transform: Transform;
  readonly format: OutputFormat;
  readonly pixelLimit: number;
}

/** Decodes images completely and tells what they are. */
export interface InspectTask {
  readonly kind: 'inspect';
  readonly pixelLimit: number;
  readonly images: readonly TaskContent[];
}

/** Decodes images, reduces their shorter side, and encodes them. */
export interface EncodeTask {
  readonly kind: 'encode';
  readonly pixelLimit: number;
  readonly settings: EncodeSettings;
  readonly images: readonly TaskContent[];
}

export interface EncodeSettings {
  /** The shorter side; smaller images stay as they are. */
  readonly size: number;
  readonly format: 'jpeg' | 'ppm';
  /** Of JPEG, 1 to 100. */
  readonly quality: number;
  readonly interpolation: Interpolation;
}

/** Decodes images completely, to be kept. */
export interface DecodeTask {
  readonly kind: 'decode';
  readonly pixelLimit: number;
  /** The shorter side of what is kept; smaller images stay as they are. undefined: all do. */
  readonly size: number | undefined;
  readonly images: readonly TaskContent[];
}

export type Task = RenderTask | InspectTask | EncodeTask | DecodeTask;

/** Why an image cannot be used. */
export interface Failure {
  readonly reason: string;
}

/** What a readable image is. */
export interface Inspected {
  readonly format: string;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly depth: number;
  readonly bytes: number;
}

export interface Encoded {
  readonly bytes: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** Per image, in the order of the task. */
export interface TaskResults {
  readonly render: readonly (Failure | null)[];
  readonly inspect: readonly (Failure | Inspected)[];
  readonly encode: readonly (Failure | Encoded)[];
  /** In memory that threads share: a message with them copies nothing. */
  readonly decode: readonly (Failure | Pixels)[];
}

/** Runs tasks on this thread. */
export interface TaskRunner {
  run<Kind extends Task['kind']>(task: Extract<Task, { readonly kind: Kind }>): Promise<TaskResults[Kind]>;
  close(): void;
}

export function createTaskRunner(): TaskRunner {
  const reader = createExtentReader();
  const load = (content: TaskContent): ImageContent =>
    'extent' in content ? { bytes: reader.read(content.extent) } : content;
  const renderer = createRenderer(load);
  const results: {
    readonly [Kind in Task['kind']]: (task: Extract<Task, { readonly kind: Kind }>) => Promise<TaskResults[Kind]>;
  } = {
    render: renderer,
    inspect: ({ images, pixelLimit }) => each(images, (content) => inspect(load(content), pixelLimit)),
    encode: ({ images, settings, pixelLimit }) =>
      each(images, (content) => encode(load(content), settings, pixelLimit)),
    decode: ({ images, size, pixelLimit }) => each(images, (content) => decode(load(content), size, pixelLimit)),
  };
  return {
    run: (task) => (results[task.kind] as (task: Task) => Promise<never>)(task),
    close: () => {
      reader.close();
    },
  };
}

/** Where in a batch's memory, behind its images, one byte an image says whether it is to be mirrored. */
export function flipsAt({ byteLength }: SharedArrayBuffer, imageBytes: number): number {
  return (byteLength / (imageBytes + 1)) * imageBytes;
}

/** The tables of the last loader's settings are kept: a thread sees thousands of tasks with the same. */
function createRenderer(
  load: (content: TaskContent) => ImageContent,
): (task: RenderTask) => Promise<TaskResults['render']> {
  let known: { readonly id: number; readonly write: RenderOne } | undefined;
  let draws: { readonly epoch: number; readonly seed: number; readonly of: ReturnType<typeof drawsOf> } | undefined;
  return ({ settings, epoch, buffer, images }) => {
    const { id, seed, transform, format } = settings;
    if (known?.id !== id) known = { id, write: renderOne(settings) };
    if (draws?.epoch !== epoch || draws.seed !== seed) draws = { epoch, seed, of: drawsOf(seed, epoch) };
    const { write } = known;
    const { of } = draws;
    const elements = sampleDims(transform, format).reduce((product, dim) => product * dim, 1);
    const imageBytes = elements * (format.type === 'float32' ? 4 : 1);
    const flips = new Uint8Array(buffer, flipsAt(buffer, imageBytes));
    return each(images, async ({ slot, index, content }) => {
      const target =
        format.type === 'float32'
          ? new Float32Array(buffer, slot * elements * 4, elements)
          : new Uint8Array(buffer, slot * elements, elements);
      const setFlip = (isFlipped: boolean): void => void (flips[slot] = isFlipped ? 1 : 0);
      await write(load(content), of(index), target, setFlip);
      return null;
    });
  };
}

/** Renders one image; where the format reports flips, it is given as it was, and `setFlip` told. */
type RenderOne = (
  content: ImageContent,
  draw: Draw,
  target: Uint8Array | Float32Array,
  setFlip: (isFlipped: boolean) => void,
) => Promise<void> | void;

function renderOne({ transform, format, pixelLimit }: RenderTaskSettings): RenderOne {
  if (transform.kind === 'as-stored') {
    const write = arrayWriter(transform, format);
    return (content, _, target) => write('bytes' in content ? content.bytes : content.pixels.data, target);
  }
  if (!areUsualChannels(channelsOf(format))) return bandsRenderer({ transform, format, pixelLimit });
  const write = imageWriter(format);
  const shared = { transform, isGrey: channelsOf(format) === 1, pixelLimit };
  return (content, draw, target, setFlip) => {
    const unflipped: ImageWriter = (pixels, view, place) => {
      setFlip(view.isFlipped);
      write(pixels, { ...view, isFlipped: false }, place);
    };
    return render(content, { ...shared, write: format.reportsFlips === true ? unflipped : write }, draw, target);
  };
}

async function inspect(content: ImageContent, pixelLimit: number): Promise<Inspected> {
  if ('pixels' in content) {
    const { width, height } = content.pixels;
    const channels = content.isGrey === true ? 1 : 3;
    return { format: 'pixels', width, height, channels, depth: 8, bytes: width * height * channels };
  }
  const { bytes } = content;
  if (isNpy(bytes)) return inspectArray(bytes);
  const header = await imageHeaderOf(bytes, pixelLimit);
  const { format, width, height, channels, depth } = header;
  if (format === 'tiff' && channels > 3 && channels <= mostChannels)
    await decodeBands(bytes, header, channels, pixelLimit);
  else await decodeRegion(bytes, header);
  return { format, width, height, channels, depth, bytes: bytes.length };
}

/** The last two dimensions are the height and the width, the first one the channels. */
function inspectArray(bytes: Uint8Array): Inspected {
  const header = npyHeader(bytes);
  checkLength(header, bytes.length);
  const { type, dims } = header;
  const [channels = 1, height = 1, width = 1] = dims.length < 3 ? [dims[0], 1, dims[1]] : [dims[0], ...dims.slice(-2)];
  return { format: 'npy', width, height, channels, depth: 8 * bytesOf(type), bytes: bytes.length };
}

async function encode(content: ImageContent, settings: EncodeSettings, pixelLimit: number): Promise<Encoded> {
  const header = 'bytes' in content ? await imageHeaderOf(content.bytes, pixelLimit) : undefined;
  const whole = 'pixels' in content ? content.pixels : (await decodeRegion(content.bytes, header!)).pixels;
  const { width, height } = whole;
  const isSmall = isWithin(whole, settings.size);
  // A JPEG that need not change is taken as it is: encoding it again would only lose.
  if (
    isSmall &&
    settings.format === 'jpeg' &&
    'bytes' in content &&
    header?.format === 'jpeg' &&
    header.channels !== 4
  ) {
    return { bytes: content.bytes, width, height };
  }
  const { data, ...size } = isSmall ? whole : reduced(whole, settings.size, settings.interpolation);
  const raw = { width: size.width, height: size.height, channels: 3 as const };
  if (settings.format === 'ppm') {
    return { bytes: Buffer.concat([Buffer.from(`P6\n${size.width} ${size.height}\n255\n`, 'latin1'), data]), ...size };
  }
  const bytes = await sharp(Buffer.from(data), { raw }).jpeg({ quality: settings.quality }).toBuffer();
  return { bytes, ...size };
}

async function decode(content: ImageContent, size: number | undefined, pixelLimit: number): Promise<Pixels> {
  let pixels: Pixels;
  if ('pixels' in content) pixels = content.pixels;
  else pixels = (await decodeRegion(content.bytes, await imageHeaderOf(content.bytes, pixelLimit))).pixels;
  const kept = size === undefined || isWithin(pixels, size) ? pixels : reduced(pixels, size, 'bicubic');
  const data = new Uint8Array(new SharedArrayBuffer(kept.data.length));
  data.set(kept.data);
  return { data, width: kept.width, height: kept.height };
}

function isWithin({ width, height }: Pixels, size: number): boolean {
  return Math.min(width, height) <= size;
}

/** The image with a shorter side of `size`, in scratch memory. */
function reduced(image: Pixels, size: number, interpolation: Interpolation): Pixels {
  const { width, height } = image;
  const output = shorterSide(width, height, size);
  const box = { left: 0, top: 0, right: width, bottom: height };
  const window = { left: 0, top: 0, right: output.width, bottom: output.height };
  return resample(image, planResampling({ interpolation, box, ...output, window }));
}

/** Runs `action` for every item; what is wrong with an image becomes its result. */
async function each<Item, Result>(
  items: readonly Item[],
  action: (item: Item) => Promise<Result>,
): Promise<(Result | Failure)[]> {
  const results: (Result | Failure)[] = [];
  for (const item of items) {
    try {
      results.push(await action(item));
    } catch (error) {
      results.push({ reason: reasonOf(error) });
    }
  }
  return results;
}

/** What is wrong with an image or its file. */
const failures: ReadonlySet<string> = new Set(['FORMAT', 'INPUT', 'UNSUPPORTED']);

/** Errors of the image and its file are results; all others are ours. */
function reasonOf(error: unknown): string {
  if (error instanceof LowrankError && failures.has(error.code)) return error.fact;
  if (error instanceof LowrankError) throw error;
  throw new LowrankError('INTERNAL', `decoding failed: ${messageOf(error)}`, { cause: error });
}
