import { LowrankError } from '../errors.js';
import type { OutputFormat } from '../data/normalize.js';
import type { SampleArrays } from '../data/types.js';
import type { Model } from '../graph/model.js';
import { dataTypeName } from '../onnx/data-type.js';
import { numberToFloat16 } from '../float16.js';
import type { ElementType, RuntimeTensor, Session, ValueInfo } from '../runtime/types.js';
import { mostChannels } from '../channels.js';
import { layoutOf, pictureLayoutOf } from '../graph/image-layout.js';
import { inputRemedy } from '../passes/fix-inputs.js';
import { calledSides, requireShape } from './sample-shape.js';

/** Side of the images where neither the model nor the user says one. */
const usualSide = 224;

const inputTypes = ['float32', 'float16', 'uint8'] as const;

/** The one input of a session as images take it. */
export interface ImageInput {
  readonly name: string;
  readonly type: (typeof inputTypes)[number];
  /** −1 where any number will do. */
  readonly batch: number;
  readonly imageDims: readonly number[];
  readonly layout: OutputFormat['layout'];
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  /** Where it takes arrays, which are of its shape: `layout`, sides and channels are then what they are called alone. */
  readonly arrays?: SampleArrays;
}

/** What has neither one nor three channels is taken for a picture up to `mostChannels` where it has so many pixels a side. */
const fewestPixels = 8;

/**
 * The input of a model of pictures; `imageSize` is the side for models that take any, null: 224. Throws UNSUPPORTED
 * where there are other inputs, USAGE where the model takes another side.
 */
export function imageInputOf(session: Pick<Session, 'inputs'>, path: string, imageSize: number | null): ImageInput {
  const reason = whyNoPictures(session);
  if (reason !== undefined) {
    throw new LowrankError('UNSUPPORTED', reason, { place: path, remedy: remedyFor(session) });
  }
  const input = session.inputs[0]!;
  const [batch, ...declared] = input.dims as [number, number, number, number];
  const layout = pictureLayoutOf(declared);
  const channelAxis = layout === 'nhwc' ? 2 : 0;
  const imageDims = declared.map((dim, axis) => {
    if (axis === channelAxis) return dim < 0 ? 3 : dim;
    if (dim < 0) return imageSize ?? usualSide;
    if (imageSize === null || imageSize === dim) return dim;
    throw new LowrankError('USAGE', `--image-size is ${imageSize}, and the model takes [${declared.join(', ')}]`, {
      place: `${path}, input '${input.name}'`,
      remedy: 'leave --image-size out',
    });
  });
  const channels = imageDims[channelAxis]!;
  const [height, width] = imageDims.toSpliced(channelAxis, 1) as [number, number];
  const type = input.type as ImageInput['type'];
  return { name: input.name, type, batch, imageDims, layout, width, height, channels };
}

/** What can be done where pictures are not what a model takes. */
function remedyFor({ inputs }: Pick<Session, 'inputs'>): string {
  if (inputs.length > 1) return inputRemedy;
  if (whyNoBatch({ inputs }) !== undefined) return 'give a model of images';
  return `give arrays (.npy) of [${inputs[0]!.dims.slice(1).join(', ')}], or a model of images: of 1 to ${mostChannels} channels`;
}

/**
 * The input of a model that takes arrays of this shape. Throws UNSUPPORTED where the model has other inputs than one batch of
 * numbers, INPUT where it takes another shape.
 */
export function arrayInputOf(session: Pick<Session, 'inputs'>, path: string, arrays: SampleArrays): ImageInput {
  const reason = whyNoBatch(session);
  if (reason !== undefined) {
    throw new LowrankError('UNSUPPORTED', reason, { place: path, remedy: remedyFor(session) });
  }
  const input = session.inputs[0]!;
  const [batch, ...declared] = input.dims;
  requireShape(arrays, declared, `${path}, input '${input.name}'`);
  const { dims } = arrays;
  const layout = layoutOf(dims);
  const { width, height, channels } = calledSides(dims, layout);
  const type = input.type as ImageInput['type'];
  return { name: input.name, type, batch: batch!, imageDims: dims, layout, width, height, channels, arrays };
}

/** Pictures of so few pixels that many of them cost what one of the usual size does. */
export function isSmallPicture({ width, height }: Pick<ImageInput, 'width' | 'height'>): boolean {
  return width * height <= 96 * 96;
}

/** Whether a model takes nothing but a batch of pictures, of whatever number of channels. */
export function isImageModel(model: Model): boolean {
  return whyNoPictures({ inputs: inputsOf(model) }) === undefined;
}

/** Why what a model takes is no batch of samples of whatever shape; undefined where it is one. */
function whyNoBatch({ inputs }: Pick<Session, 'inputs'>): string | undefined {
  const [input] = inputs;
  if (input === undefined || inputs.length > 1) {
    const shown = inputs.map(({ name, type, dims }) => `'${name}' ${type} [${dims.join(', ')}]`).join(', ');
    return `the model has ${inputs.length} inputs (${shown}) where the images are one`;
  }
  const isBatch = inputTypes.some((name) => name === input.type) && input.dims.length >= 2;
  return isBatch ? undefined : `${shownInput(input)}, no batch of images`;
}

function shownInput({ name, type, dims }: ValueInfo): string {
  return `the input '${name}' is ${type} [${dims.join(', ')}]`;
}

/** Why a model takes no samples of a data set, pictures where these are no arrays; undefined where it takes them. */
export function obstacleToSamples(
  session: Pick<Session, 'inputs'>,
  arrays: SampleArrays | undefined,
): string | undefined {
  return arrays === undefined ? whyNoPictures(session) : whyNoBatch(session);
}

/** Why what a model takes is no batch of pictures; undefined where it is one. */
export function whyNoPictures(session: Pick<Session, 'inputs'>): string | undefined {
  const reason = whyNoBatch(session);
  if (reason !== undefined) return reason;
  const input = session.inputs[0]!;
  const shown = shownInput(input);
  if (input.dims.length !== 4) return `${shown}, no batch of images`;
  const [, ...declared] = input.dims;
  const [channels] = declared.splice(pictureLayoutOf(declared) === 'nhwc' ? 2 : 0, 1);
  const isUsual = channels! < 0 || channels === 1 || channels === 3;
  const isPicture = channels! <= mostChannels && declared.every((dim) => dim < 0 || dim >= fewestPixels);
  return isUsual || isPicture ? undefined : `${shown}: too many channels or too few pixels for images`;
}

/** The inputs of a model as a session would show them. */
export function inputsOf({ graph }: Model): readonly ValueInfo[] {
  return graph.inputs
    .filter((value) => value.tensor === undefined)
    .map(({ name, declared }) => ({
      name,
      type: declared === undefined ? 'other' : (dataTypeName(declared.dataType) as ElementType),
      dims: (declared?.dims ?? []).map((dim) => (typeof dim === 'number' ? dim : -1)),
    }));
}

/** What images are decoded to: bytes for a model that takes bytes, else float32. */
export function pixelsOf({ type }: ImageInput): OutputFormat['type'] {
  return type === 'uint8' ? 'uint8' : 'float32';
}

/** Images of a loader as the feed of a run. */
export function imageFeed(
  { name, type }: ImageInput,
  images: Float32Array | Uint8Array,
  dims: readonly number[],
): Record<string, RuntimeTensor> {
  return { [name]: { type, dims, data: converted(images, type) } };
}

function converted(images: Float32Array | Uint8Array, type: ImageInput['type']): RuntimeTensor['data'] {
  switch (type) {
    case 'float32':
      return images;
    case 'uint8':
      return images instanceof Uint8Array ? images : Uint8Array.from(images);
    case 'float16':
      return Uint16Array.from(images, numberToFloat16);
  }
}
