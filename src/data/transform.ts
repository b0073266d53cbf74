import { LowrankError } from '../errors.js';
import type { Box } from './pixels.js';
import type { Interpolation, Resampling } from './resample.js';
import type { SampleArrays } from './types.js';

/** Pixels that the model wants. */
interface OutputSize {
  readonly width: number;
  readonly height: number;
}

/** torchvision's RandomResizedCrop and RandomHorizontalFlip (Szegedy et al. 2015: Going deeper with convolutions). */
export interface RandomResizedCrop extends OutputSize {
  readonly kind: 'random-resized-crop';
  /** Bounds of the crop's share of the image's area. Default: [0.08, 1]. */
  readonly scale?: readonly [number, number];
  /** Bounds of the crop's width / height. Default: [3/4, 4/3]. */
  readonly ratio?: readonly [number, number];
  /** Probability of a horizontal flip. Default: 0.5. */
  readonly flip?: number;
  readonly interpolation?: Interpolation;
  /**
   * Large JPEGs are decoded at a half, a quarter or an eighth where at least twice the wanted resolution is left.
   * Default: true; false decodes every pixel, as torchvision does.
   */
  readonly reducedDecoding?: boolean;
}

/** torchvision's RandomCrop(padding) and RandomHorizontalFlip, as for CIFAR: the border is black. */
export interface PaddedCrop extends OutputSize {
  readonly kind: 'padded-crop';
  /** Pixels added on every side. Default: 4. */
  readonly padding?: number;
  /**
   * What the shorter side becomes before that; where it is less than the output has, the border is wider. Default: the image is
   * stretched to the output size.
   */
  readonly resize?: number;
  readonly flip?: number;
  readonly interpolation?: Interpolation;
}

/** torchvision's Resize (the shorter side becomes `resize`) and CenterCrop; what is missing is black. */
export interface CenterCrop extends OutputSize {
  readonly kind: 'center-crop';
  readonly resize: number;
  readonly interpolation?: Interpolation;
}

/** The whole image, stretched to the output size. */
export interface Stretch extends OutputSize {
  readonly kind: 'stretch';
  readonly interpolation?: Interpolation;
}

/** Arrays of the shape that the model takes, as they are. */
export interface AsStored {
  readonly kind: 'as-stored';
  /** What all of them must be. */
  readonly arrays: SampleArrays;
  /** The axis of a sample along which normalizations differ. */
  readonly channelAxis: number;
}

/** What is done to an image between decoding and normalization. Interpolation is bilinear where nothing is said. */
export type PictureTransform = RandomResizedCrop | PaddedCrop | CenterCrop | Stretch;

export type Transform = PictureTransform | AsStored;

/** A transform of one image, all choices made: `resampling.window` lies at (left, top) of the black output. */
export interface View extends OutputSize {
  /** undefined: nothing of the image is seen. */
  readonly resampling: Resampling | undefined;
  readonly left: number;
  readonly top: number;
  readonly isFlipped: boolean;
  /** The decoder may give fewer pixels than the image has. */
  readonly mayReduce: boolean;
}

/** Numbers on [0, 1) that one image's transform takes, at most `wordsPerView`. */
export type Draw = () => number;

/** Ten tries of four numbers, a flip, and some to spare. */
export const wordsPerView = 64;

const tries = 10;
const defaultScale = [0.08, 1] as const;
const defaultRatio = [3 / 4, 4 / 3] as const;

/** Throws USAGE where a transform makes no sense. */
export function checkTransform(transform: Transform): void {
  const fail = (fact: string): never => {
    throw new LowrankError('USAGE', fact, { place: `transform '${transform.kind}'` });
  };
  const isSize = (value: number): boolean => Number.isSafeInteger(value) && value >= 1 && value <= 65_535;
  if (transform.kind === 'as-stored') return;
  if (!isSize(transform.width) || !isSize(transform.height)) {
    fail(`the image size is ${transform.width}x${transform.height}, not whole numbers from 1 to 65535`);
  }
  if ('flip' in transform && !(transform.flip >= 0 && transform.flip <= 1)) {
    fail(`the probability of a flip is ${transform.flip}, not from 0 to 1`);
  }
  switch (transform.kind) {
    case 'random-resized-crop': {
      const { scale = defaultScale, ratio = defaultRatio } = transform;
      if (!(scale[0] > 0 && scale[0] <= scale[1] && scale[1] <= 1)) fail(`the scale is ${scale.join(' to ')}`);
      if (!(ratio[0] > 0 && ratio[0] <= ratio[1] && ratio[1] < Infinity)) fail(`the ratio is ${ratio.join(' to ')}`);
      return;
    }
    case 'padded-crop': {
      const { padding = 4 } = transform;
      if (!Number.isSafeInteger(padding) || padding < 0) fail(`the padding is ${padding}`);
      const { resize } = transform;
      if (resize !== undefined && !isSize(resize)) fail(`the shorter side is resized to ${resize}`);
      return;
    }
    case 'center-crop':
      if (!isSize(transform.resize)) fail(`the shorter side is resized to ${transform.resize}`);
      return;
    case 'stretch':
      return;
    default:
      fail('there is no such transform: choose random-resized-crop, padded-crop, center-crop, stretch or as-stored');
  }
}

/** The view of an image of `width` × `height` pixels; `draw` is called the same number of times only for the same sizes. */
export function viewOf(transform: PictureTransform, width: number, height: number, draw: Draw): View {
  const { interpolation = 'bilinear' } = transform;
  const output = { width: transform.width, height: transform.height };
  const whole: Box = { left: 0, top: 0, right: width, bottom: height };
  const place = (
    scaled: OutputSize,
    box: Box,
    left: number,
    top: number,
    isFlipped: boolean,
    mayReduce = false,
  ): View => {
    const window: Box = {
      left: Math.max(0, left),
      top: Math.max(0, top),
      right: Math.min(scaled.width, left + output.width),
      bottom: Math.min(scaled.height, top + output.height),
    };
    const isEmpty = window.right <= window.left || window.bottom <= window.top;
    return {
      ...output,
      resampling: isEmpty ? undefined : { interpolation, box, width: scaled.width, height: scaled.height, window },
      left: Math.max(0, -left),
      top: Math.max(0, -top),
      isFlipped,
      mayReduce,
    };
  };
  switch (transform.kind) {
    case 'random-resized-crop': {
      const box = randomBox(width, height, transform.scale ?? defaultScale, transform.ratio ?? defaultRatio, draw);
      return place(output, box, 0, 0, draw() < (transform.flip ?? 0.5), transform.reducedDecoding ?? true);
    }
    case 'padded-crop': {
      const { padding = 4 } = transform;
      const scaled = transform.resize === undefined ? output : shorterSide(width, height, transform.resize);
      const center = centerOf(scaled, output);
      const left = center.left + Math.floor(draw() * (2 * padding + 1)) - padding;
      const top = center.top + Math.floor(draw() * (2 * padding + 1)) - padding;
      return place(scaled, whole, left, top, draw() < (transform.flip ?? 0.5));
    }
    case 'center-crop': {
      const scaled = shorterSide(width, height, transform.resize);
      const { left, top } = centerOf(scaled, output);
      return place(scaled, whole, left, top, false);
    }
    case 'stretch':
      return place(output, whole, 0, 0, false);
  }
}

/** torchvision's RandomResizedCrop.get_params: ten tries, then the largest central box of an allowed ratio. */
function randomBox(
  width: number,
  height: number,
  scale: readonly [number, number],
  ratio: readonly [number, number],
  draw: Draw,
): Box {
  const area = width * height;
  const [logFrom, logTo] = [Math.log(ratio[0]), Math.log(ratio[1])];
  const boxAt = (left: number, top: number, boxWidth: number, boxHeight: number): Box => ({
    left,
    top,
    right: left + boxWidth,
    bottom: top + boxHeight,
  });
  for (let attempt = 0; attempt < tries; attempt++) {
    const target = area * (scale[0] + (scale[1] - scale[0]) * draw());
    const aspect = Math.exp(logFrom + (logTo - logFrom) * draw());
    const boxWidth = roundHalfEven(Math.sqrt(target * aspect));
    const boxHeight = roundHalfEven(Math.sqrt(target / aspect));
    if (boxWidth > 0 && boxWidth <= width && boxHeight > 0 && boxHeight <= height) {
      const top = Math.floor(draw() * (height - boxHeight + 1));
      const left = Math.floor(draw() * (width - boxWidth + 1));
      return boxAt(left, top, boxWidth, boxHeight);
    }
  }
  const boxWidth = width / height > ratio[1] ? roundHalfEven(height * ratio[1]) : width;
  const boxHeight = width / height < ratio[0] ? roundHalfEven(width / ratio[0]) : height;
  return boxAt((width - boxWidth) >> 1, (height - boxHeight) >> 1, boxWidth, boxHeight);
}

/** torchvision's Resize(size): the longer side is rounded down. */
export function shorterSide(width: number, height: number, size: number): OutputSize {
  return width <= height
    ? { width: size, height: Math.trunc((size * height) / width) }
    : { width: Math.trunc((size * width) / height), height: size };
}

/** Where the output begins in the image, in its middle; below 0 where the output is larger. */
function centerOf(scaled: OutputSize, output: OutputSize): { readonly left: number; readonly top: number } {
  return {
    left: roundHalfEven((scaled.width - output.width) / 2),
    top: roundHalfEven((scaled.height - output.height) / 2),
  };
}

/** Python's `round`. */
function roundHalfEven(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  if (rest !== 0.5) return rest < 0.5 ? down : down + 1;
  return down % 2 === 0 ? down : down + 1;
}
