import { LowrankError } from '../errors.js';
import type { OutputFormat } from '../data/normalize.js';
import { numberToFloat16 } from '../onnx/float16.js';
import type { RuntimeTensor, Session } from '../runtime/types.js';
import { imageSizeOf, layoutOf } from './images.js';

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
}

/**
 * The input of a model of color images; `imageSize` is the side for models that take any, null: 224. Throws UNSUPPORTED
 * where there are other inputs, USAGE where the model takes another side.
 */
export function imageInputOf(session: Pick<Session, 'inputs'>, path: string, imageSize: number | null): ImageInput {
  const [input] = session.inputs;
  const fail = (fact: string): never => {
    throw new LowrankError('UNSUPPORTED', fact, { place: path, remedy: 'give a model of color images' });
  };
  if (input === undefined || session.inputs.length > 1) {
    const names = session.inputs.map(({ name }) => `'${name}'`).join(', ');
    return fail(`the model has ${session.inputs.length} inputs (${names}) where the images are one`);
  }
  const type = inputTypes.find((name) => name === input.type);
  if (type === undefined || input.dims.length !== 4) {
    return fail(`the input '${input.name}' is ${input.type} [${input.dims.join(', ')}], no batch of images`);
  }
  const [batch, ...declared] = input.dims as [number, number, number, number];
  const layout = layoutOf(declared);
  const isSide = (axis: number): boolean => axis !== (layout === 'nhwc' ? 2 : 0);
  const imageDims = declared.map((dim, axis) => {
    if (!isSide(axis)) return dim < 0 ? 3 : dim;
    if (dim < 0) return imageSize ?? usualSide;
    if (imageSize === null || imageSize === dim) return dim;
    throw new LowrankError('USAGE', `--image-size is ${imageSize}, and the model takes [${declared.join(', ')}]`, {
      place: `${path}, input '${input.name}'`,
      remedy: 'leave --image-size out',
    });
  });
  return { name: input.name, type, batch, imageDims, layout, ...imageSizeOf(imageDims, layout, input.name) };
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
