import { throwIfAborted } from '../errors.js';
import { shuffledOrder } from '../data/order.js';
import type { CalibrateContext } from '../factorize/calibration/types.js';
import { slowMacs } from '../rewrite/count.js';
import type { Model } from '../graph/model.js';
import { openClassGradient } from './class-gradient.js';
import { type ImageInput, isSmallPicture } from './image-input.js';

/** Gradient steps of at most so many, half as many of twice the size for large models; a picture until the model is sure enough of its class. */
export interface ClassSteps {
  readonly count: number;
  /** Root mean square of what a step moves a picture by, in units of 1 = white. */
  readonly size: number;
  /** The probability of its class from which on a picture stays as it is. */
  readonly enough: number;
  /** Of models of fewer classes, drawn pictures show enough. */
  readonly fewestClasses: number;
}

export const defaultClassSteps: ClassSteps = { count: 6, size: 0.03, enough: 0.5, fewestClasses: 100 };

/**
 * Moves pictures toward classes of the model, each toward one of its own: what layers near the end see of drawn pictures is
 * a small part of what they see of photographs, since hardly a class answers. p ← clamp(p − size · g / rms(g)), with g the
 * gradient of the cross-entropy (activation maximization: Erhan et al. 2009; Mordvintsev et al. 2015; as calibration
 * pictures, from noise and with other terms: Yin et al. 2020, DeepInversion).
 */
export interface PictureMover {
  /** Bytes, [height, width, channels] each; `first` is the number of the first one, which its class goes by. */
  move(pictures: readonly Uint8Array[], first: number): Promise<readonly Uint8Array[]>;
  close(): Promise<void>;
}

export interface MoverContext extends Pick<CalibrateContext, 'driver' | 'session' | 'signal'> {
  readonly seed: number;
  readonly steps: ClassSteps;
  /** What black and white of each channel are to the model. */
  readonly ranges: readonly (readonly [black: number, white: number])[];
}

/** Pictures of a run: gradients keep what every layer gives. */
const largestBatch = (input: ImageInput): number => (isSmallPicture(input) ? 32 : 8);

/** undefined where the model has few classes or none, or no gradient. */
export async function openPictureMover(
  model: Model,
  input: ImageInput,
  { seed, steps, ranges, ...context }: MoverContext,
): Promise<PictureMover | undefined> {
  const gradient = await openClassGradient(
    model,
    input,
    { largestBatch: largestBatch(input), fewestClasses: steps.fewestClasses },
    context,
  );
  if (gradient === undefined) return undefined;
  const { classes, batch, macs } = gradient;
  const coarse = macs > slowMacs ? 2 : 1;
  const order = shuffledOrder({ length: classes, seed, epoch: 0 });
  const { channel, from } = layoutOf(input);
  const size = channel.length;
  const wide = Float32Array.from(channel, (c) => ranges[c]![1] - ranges[c]![0]);
  const black = Float32Array.from(channel, (c) => ranges[c]![0]);

  /** From 0 to 1, in the order of the model; in place. */
  const moveBatch = async (pixels: Float32Array, targets: readonly number[]): Promise<void> => {
    const images = new Float32Array(pixels.length);
    const isDone = targets.map(() => false);
    for (let step = 0; step < steps.count / coarse && isDone.includes(false); step++) {
      throwIfAborted(context.signal);
      for (let at = 0; at < images.length; at++) images[at] = black[at % size]! + wide[at % size]! * pixels[at]!;
      const { probabilities, gradient: g } = await gradient.run(images, targets);
      for (const [image, target] of targets.entries()) {
        const own = g.subarray(image * size, (image + 1) * size);
        const length = rootMeanSquare(own, wide);
        // Nothing moves it, or nothing can be said.
        if (probabilities[image * classes + target]! >= steps.enough || !(length > 0 && length < Infinity)) {
          isDone[image] = true;
          continue;
        }
        for (let at = 0; at < size; at++) {
          const moved = pixels[image * size + at]! - ((coarse * steps.size) / length) * wide[at]! * own[at]!;
          pixels[image * size + at] = Math.min(1, Math.max(0, moved));
        }
      }
    }
  };

  return {
    async move(pictures, first) {
      const moved: Uint8Array[] = [];
      for (let done = 0; done < pictures.length; done += batch) {
        const some = pictures.slice(done, done + batch);
        const pixels = new Float32Array(batch * size);
        for (const [image, picture] of some.entries()) {
          for (let at = 0; at < size; at++) pixels[image * size + at] = picture[from[at]!]! / 255;
        }
        await moveBatch(
          pixels,
          some.map((_, image) => order[(first + done + image) % classes]!),
        );
        for (const image of some.keys()) {
          const bytes = new Uint8Array(size);
          for (let at = 0; at < size; at++) bytes[from[at]!] = Math.round(255 * pixels[image * size + at]!);
          moved.push(bytes);
        }
      }
      return moved;
    },
    close: () => gradient.close(),
  };
}

/** Of a number of the model's image, its channel and where it is in a picture of bytes. */
function layoutOf({ channels, layout, width, height }: ImageInput): {
  readonly channel: Uint8Array;
  readonly from: Uint32Array;
} {
  const area = width * height;
  const size = channels * area;
  const isLast = layout === 'nhwc';
  const channel = Uint8Array.from({ length: size }, (_, at) => (isLast ? at % channels : Math.floor(at / area)));
  const from = Uint32Array.from({ length: size }, (_, at) => (isLast ? at : (at % area) * channels + channel[at]!));
  return { channel, from };
}

function rootMeanSquare(values: Float32Array, factors: Float32Array): number {
  let square = 0;
  for (let at = 0; at < values.length; at++) square += (values[at]! * factors[at]!) ** 2;
  return Math.sqrt(square / values.length);
}
