import { randomStream } from '../random.js';
import { type Draws, drawsOf } from './draws.js';
import { drawView, type FieldView, type NoiseField, pinkFields } from './pink-noise.js';
import { planResampling, resample } from './resample.js';
import { fillEllipse, fillPolygon, type Point, type Span } from './shapes.js';
import { viewOf } from './transform.js';

/**
 * Pictures that a program draws, with the statistics of natural images that do not depend on what is seen: the spectrum
 * (Ruderman 1994: The statistics of natural images) and edges of opaque things of every size in front of each other, the
 * dead leaves of Lee, Mumford and Huang (2001: Occlusion models for natural images). Networks learn useful first layers from
 * such pictures (Baradad et al. 2021: Learning to see by looking at noise).
 */

/** What the pictures are like; brightness and deviations in units of 255 = white. */
export interface PictureRecipe {
  /** Side of the canvas on which is drawn, in pixels. */
  readonly side: number;
  /** Share of the pictures that are pink noise and nothing else. */
  readonly noiseShare: number;
  /** The noise: amplitudes fall as frequency^−spectrum. */
  readonly spectrum: number;
  /** Brightness of all pictures, and the deviation of that of each. */
  readonly mean: number;
  readonly between: number;
  /** Of the noise of a picture. */
  readonly deviation: number;
  /** Of what channels next to each other have; those further apart have less in common. */
  readonly correlation: number;
  /** Shapes in a picture. */
  readonly shapes: readonly [fewest: number, most: number];
  /** Radius in pixels: smallest · u^−½ with u uniform, so that a magnified picture is like the picture; at most the largest. */
  readonly radius: readonly [smallest: number, largest: number];
  /** Deviation of the colors of a picture's shapes. */
  readonly color: number;
  /** Deviation of how much the brightness of a shape changes from its center to its edge, along each axis. */
  readonly shade: number;
  /** Share of the noise that lies over the shapes. */
  readonly blend: number;
  /** Bounds of the share of the canvas's area that is seen. */
  readonly crop: readonly [number, number];
  /** The same for pictures of at most 64 pixels a side: made small, shapes would be much finer than things in photographs. */
  readonly smallCrop: readonly [number, number];
}

export const defaultRecipe: PictureRecipe = {
  side: 200,
  noiseShare: 0.25,
  spectrum: 1.3,
  mean: 120,
  between: 30,
  deviation: 58,
  correlation: 0.91,
  shapes: [60, 400],
  radius: [8, 120],
  color: 62,
  shade: 30,
  blend: 0.08,
  crop: [0.25, 1],
  smallCrop: [0.08, 0.6],
};

/** Size in pixels, and how many channels. */
export interface PictureSize {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

const smallSide = 64;

/** Fields that the noise of all pictures is taken from. */
const fieldCount = 8;

/** The pictures of a seed. */
export interface PictureDrawer {
  /** Picture `index`, whatever was drawn before: bytes, [height, width, channels]. */
  draw(index: number, size: PictureSize): Uint8Array;
}

/** What was drawn, for further passes: the same pictures are shown to several models. */
const drawn = new Map<string, Uint8Array>();
const mostDrawnBytes = 64e6;
let drawnBytes = 0;
const fieldsBySeed = new Map<string, readonly NoiseField[]>();
const mostSeeds = 4;

/** Pictures are not to be written to: they are kept for the next to ask. */
export function pictureDrawer(seed: number, recipe: PictureRecipe = defaultRecipe): PictureDrawer {
  const recipeKey = JSON.stringify(recipe);
  return {
    draw(index, size) {
      const key = [seed, index, size.width, size.height, size.channels, recipeKey].join(' ');
      const known = drawn.get(key);
      if (known !== undefined) return known;
      const fields = fieldsOf(seed, recipe.spectrum);
      const draws = drawsOf(randomStream(seed, `dead leaves ${index}`));
      const isNoise = Math.floor((index + 1) * recipe.noiseShare) > Math.floor(index * recipe.noiseShare);
      const picture = cropped(drawCanvas(fields, size.channels, isNoise, recipe, draws), size, recipe, draws);
      if (drawnBytes + picture.length > mostDrawnBytes) {
        drawn.clear();
        drawnBytes = 0;
      }
      drawn.set(key, picture);
      drawnBytes += picture.length;
      return picture;
    },
  };
}

function fieldsOf(seed: number, spectrum: number): readonly NoiseField[] {
  const key = `${seed} ${spectrum}`;
  const fields = fieldsBySeed.get(key) ?? pinkFields(seed, spectrum, fieldCount);
  if (fieldsBySeed.size >= mostSeeds) fieldsBySeed.clear();
  fieldsBySeed.set(key, fields);
  return fields;
}

/** Three channels beside each other, as images have them: of a picture with more there are several. */
type Canvas = readonly Uint8ClampedArray[];

function drawCanvas(
  fields: readonly NoiseField[],
  channels: number,
  isNoise: boolean,
  recipe: PictureRecipe,
  draws: Draws,
): Canvas {
  const { side } = recipe;
  const canvas = Array.from({ length: Math.ceil(channels / 3) }, () => new Uint8ClampedArray(3 * side * side));
  const base = drawColor(channels, recipe.mean, recipe.between, recipe, draws);
  lay(canvas, base, noiseOf(fields, channels, recipe, draws), recipe, 1);
  if (isNoise) return canvas;
  const count = recipe.shapes[0] + draws.whole(recipe.shapes[1] - recipe.shapes[0] + 1);
  for (let shape = 0; shape < count; shape++) {
    const offset = drawColor(channels, 0, recipe.color, recipe, draws);
    const color = new Float64Array(3 * canvas.length);
    for (let channel = 0; channel < channels; channel++) color[channel] = base[channel]! + offset[channel]!;
    const { center, radius, fill } = drawShape(recipe, draws);
    const [right, down] = [draws.normal(), draws.normal()].map((slope) => (slope * recipe.shade) / radius);
    fill((y, first, last) => {
      canvas.forEach((plane, index) => {
        const [red, green, blue] = color.subarray(3 * index, 3 * index + 3);
        let light = down! * (y - center[1]) + right! * (first - center[0]);
        for (let at = 3 * (y * side + first), end = 3 * (y * side + last); at < end; at += 3, light += right!) {
          plane[at] = red! + light;
          plane[at + 1] = green! + light;
          plane[at + 2] = blue! + light;
        }
      });
    });
  }
  lay(canvas, base, noiseOf(fields, channels, recipe, draws), recipe, recipe.blend);
  return canvas;
}

/** A number of each channel, each like that of the channel before. */
function drawColor(
  channels: number,
  mean: number,
  deviation: number,
  { correlation }: PictureRecipe,
  draws: Draws,
): Float64Array {
  const own = Math.sqrt(1 - correlation * correlation);
  const color = new Float64Array(channels);
  let value = draws.normal();
  for (let channel = 0; channel < channels; channel++) {
    if (channel > 0) value = correlation * value + own * draws.normal();
    color[channel] = mean + deviation * value;
  }
  return color;
}

interface Shape {
  readonly center: Point;
  readonly radius: number;
  fill(span: Span): void;
}

/** An ellipse, a polygon or a line. */
function drawShape({ side, radius: [smallest, largest] }: PictureRecipe, draws: Draws): Shape {
  const kind = draws.whole(3);
  const radius = Math.min(largest, smallest / Math.sqrt(1 - draws.uniform()));
  const center: Point = [draws.between(0, side), draws.between(0, side)];
  const angle = draws.between(0, 2 * Math.PI);
  if (kind === 0) {
    const other = radius * draws.between(0.3, 1);
    return {
      center,
      radius,
      fill: (span) => {
        fillEllipse(center, radius, other, angle, side, span);
      },
    };
  }
  const outline = kind === 1 ? drawPolygon(radius, draws) : drawLine(radius, draws);
  const points = placed(outline, center, angle);
  return {
    center,
    radius,
    fill: (span) => {
      fillPolygon(points, side, span);
    },
  };
}

function drawPolygon(radius: number, draws: Draws): readonly Point[] {
  const corners = 3 + draws.whole(5);
  const squeeze = draws.between(0.4, 1);
  return Array.from({ length: corners }, (_, k): Point => {
    const turn = (2 * Math.PI * (k + draws.between(-0.3, 0.3))) / corners;
    return [radius * Math.cos(turn), squeeze * radius * Math.sin(turn)];
  });
}

function drawLine(radius: number, draws: Draws): readonly Point[] {
  const [length, width] = [2 * radius, Math.max(0.7, radius * draws.between(0.03, 0.2))];
  return [
    [-length, -width],
    [length, -width],
    [length, width],
    [-length, width],
  ];
}

function placed(points: readonly Point[], [left, top]: Point, angle: number): readonly Point[] {
  const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
  return points.map(([x, y]) => [left + cosine * x - sine * y, top + sine * x + cosine * y]);
}

/** What the noise of each channel adds to that of the one before. */
function noiseOf(
  fields: readonly NoiseField[],
  channels: number,
  { side }: PictureRecipe,
  draws: Draws,
): readonly FieldView[] {
  return Array.from({ length: channels }, () => drawView(fields, side, draws));
}

/** Lays noise around `base` over a canvas: (1 − share) · canvas + share · noise. */
function lay(
  canvas: Canvas,
  base: Float64Array,
  noise: readonly FieldView[],
  { side, deviation, correlation }: PictureRecipe,
  share: number,
): void {
  if (share === 0) return;
  const own = Math.sqrt(1 - correlation * correlation);
  const before = new Float32Array(side * side);
  for (const [channel, { field, columns, rows }] of noise.entries()) {
    const [keep, add] = channel === 0 ? [0, 1] : [correlation, own];
    const plane = canvas[Math.floor(channel / 3)]!;
    const mean = share * base[channel]!;
    for (let y = 0, pixel = 0, at = channel % 3; y < side; y++) {
      const row = rows[y]!;
      for (let x = 0; x < side; x++, pixel++, at += 3) {
        const value = keep * before[pixel]! + add * field[row + columns[x]!]!;
        before[pixel] = value;
        plane[at] = (1 - share) * plane[at]! + mean + share * deviation * value;
      }
    }
  }
}

/** A part of the canvas in the size that is wanted. */
function cropped(canvas: Canvas, size: PictureSize, recipe: PictureRecipe, draws: Draws): Uint8Array {
  const { width, height, channels } = size;
  const ratio = width / height;
  // The largest box of this ratio has so much of the canvas.
  const largest = Math.min(ratio, 1 / ratio);
  const crop = Math.max(width, height) <= smallSide ? recipe.smallCrop : recipe.crop;
  const scale = [crop[0] * largest, crop[1] * largest] as const;
  const transform = { kind: 'random-resized-crop', width, height, scale, ratio: [ratio, ratio], flip: 0 } as const;
  const { resampling } = viewOf(transform, recipe.side, recipe.side, draws.uniform);
  const plan = planResampling(resampling!);
  const result = new Uint8Array(width * height * channels);
  for (const [index, plane] of canvas.entries()) {
    const pixels = { data: new Uint8Array(plane.buffer), width: recipe.side, height: recipe.side };
    const { data } = resample(pixels, plan);
    const count = Math.min(3, channels - 3 * index);
    for (let channel = 0; channel < count; channel++) {
      for (let from = channel, to = 3 * index + channel; to < result.length; from += 3, to += channels) {
        result[to] = data[from]!;
      }
    }
  }
  return result;
}
