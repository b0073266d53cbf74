import { loadKernel, roomOf, type KernelMemory } from './kernel.js';
import type { Box, Pixels } from './pixels.js';

/**
 * Resampling of 8-bit pixels, bit for bit as Pillow 13 does it (libImaging/Resample.c), to which torchvision hands PIL
 * images: the filter is widened by the scale where the image shrinks (antialiasing); the axes are filtered one after the
 * other; weights are rounded to 22 bits, and what each pass gives to 8. Pillow 12 and before always took the rows first,
 * which now and then rounds a value to its neighbour. The two passes are WebAssembly (resample.wat).
 */

export type Interpolation = 'bilinear' | 'bicubic';

interface Filter {
  readonly support: number;
  weight(x: number): number;
}

/** Keys' cubic with a = −1/2, as in Pillow. */
const a = -0.5;

const FILTERS: Readonly<Record<Interpolation, Filter>> = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    support: 2,
    weight(value) {
      const x = Math.abs(value);
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
    },
  },
};

/** 32 bits, less 8 of the pixel and 2 for overshoot. */
const precision = 22;

/** Output `i` of an axis is the sum over k < counts[i] of weights[i · taps + k] · input[starts[i] + k], times 2⁻²². */
export interface AxisWeights {
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  readonly weights: Int32Array;
  readonly taps: number;
}

/** One axis of an image that is resampled: the interval [from, to] becomes `outputSize` pixels, of which some are wanted. */
export interface Axis {
  /** Pixels outside [first, last) are not looked at: what a crop before the resize cuts off. */
  readonly first: number;
  readonly last: number;
  readonly from: number;
  readonly to: number;
  readonly outputSize: number;
  /** The wanted outputs: from `outputFirst` on, `outputCount` of them. */
  readonly outputFirst: number;
  readonly outputCount: number;
}

/** Pillow's `precompute_coeffs` and `normalize_coeffs_8bpc`. */
export function axisWeights(interpolation: Interpolation, axis: Axis): AxisWeights {
  const filter = FILTERS[interpolation];
  const { first, last, from, outputFirst, outputCount } = axis;
  const scale = (axis.to - from) / axis.outputSize;
  const filterScale = Math.max(scale, 1);
  const support = filter.support * filterScale;
  const taps = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(outputCount);
  const counts = new Int32Array(outputCount);
  const weights = new Int32Array(outputCount * taps);
  const row = new Float64Array(taps);
  for (let output = 0; output < outputCount; output++) {
    // Relative to the first pixel, as after a crop.
    const center = from - first + (outputFirst + output + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const count = Math.min(last - first, Math.trunc(center + support + 0.5)) - start;
    let sum = 0;
    for (let k = 0; k < count; k++) {
      const weight = filter.weight((k + start - center + 0.5) * (1 / filterScale));
      row[k] = weight;
      sum += weight;
    }
    for (let k = 0; k < count; k++) {
      const scaled = (sum === 0 ? row[k]! : row[k]! * (1 / sum)) * (1 << precision);
      weights[output * taps + k] = Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
    starts[output] = first + start;
    counts[output] = count;
  }
  return { starts, counts, weights, taps };
}

interface Kernel extends KernelMemory {
  horizontal(
    source: number,
    stride: number,
    rows: number,
    starts: number,
    counts: number,
    weights: number,
    taps: number,
    width: number,
    target: number,
  ): void;
  vertical(
    source: number,
    stride: number,
    starts: number,
    counts: number,
    weights: number,
    taps: number,
    height: number,
    target: number,
  ): void;
}

/** Vector instructions read and write this far past the last pixel. */
const overrun = 16;
/** Memory of WebAssembly never shrinks: after a huge image a new one is taken. */
const largestKept = 2 ** 26;

let sharedKernel: Kernel | undefined;

/** What becomes of an image: `box` is resampled to `width` × `height`, of which `window` is computed. */
export interface Resampling {
  readonly interpolation: Interpolation;
  readonly box: Box;
  readonly width: number;
  readonly height: number;
  /** Inside [0, width] × [0, height], whole numbers. */
  readonly window: Box;
}

/** A resampling with its weights worked out. */
export interface ResamplingPlan {
  readonly width: number;
  readonly height: number;
  readonly horizontal: AxisWeights;
  readonly vertical: AxisWeights;
  /** The pixels of the image that are read: whole numbers, inside the box. */
  readonly source: Box;
  /** Pillow's rule: where the height shrinks by more than twice as many pixels as the width. */
  readonly isVerticalFirst: boolean;
}

/** Works out the weights of a resampling and the pixels it reads. */
export function planResampling({ interpolation, box, width, height, window }: Resampling): ResamplingPlan {
  const horizontal = axisWeights(interpolation, horizontalAxis(box, width, window));
  const vertical = axisWeights(interpolation, verticalAxis(box, height, window));
  const [left, right] = reach(horizontal);
  const [top, bottom] = reach(vertical);
  const [boxWidth, boxHeight] = [
    Math.ceil(box.right) - Math.floor(box.left),
    Math.ceil(box.bottom) - Math.floor(box.top),
  ];
  return {
    width: window.right - window.left,
    height: window.bottom - window.top,
    horizontal,
    vertical,
    source: { left, top, right, bottom },
    isVerticalFirst: height < boxHeight && boxHeight - height > 2 * (boxWidth - width),
  };
}

function reach({ starts, counts }: AxisWeights): readonly [number, number] {
  let first = Infinity;
  let last = 0;
  for (let output = 0; output < starts.length; output++) {
    first = Math.min(first, starts[output]!);
    last = Math.max(last, starts[output]! + counts[output]!);
  }
  return [first, last];
}

function horizontalAxis(box: Box, width: number, window: Box): Axis {
  return {
    first: Math.floor(box.left),
    last: Math.ceil(box.right),
    from: box.left,
    to: box.right,
    outputSize: width,
    outputFirst: window.left,
    outputCount: window.right - window.left,
  };
}

function verticalAxis(box: Box, height: number, window: Box): Axis {
  return {
    first: Math.floor(box.top),
    last: Math.ceil(box.bottom),
    from: box.top,
    to: box.bottom,
    outputSize: height,
    outputFirst: window.top,
    outputCount: window.bottom - window.top,
  };
}

/**
 * The window of the resampled box. `region` says which part of the image `pixels` are: its left upper corner, in the
 * coordinates of the plan's box. The result is a view of this thread's scratch memory, valid until the next call.
 */
export function resample(
  pixels: Pixels,
  plan: ResamplingPlan,
  region: { readonly left: number; readonly top: number } = { left: 0, top: 0 },
): Pixels {
  const { width, height, source, isVerticalFirst } = plan;
  const horizontal = shifted(plan.horizontal, -region.left);
  const vertical = shifted(plan.vertical, -source.top);
  const rows = source.bottom - source.top;
  const stride = pixels.width * 3;
  const firstByte = (source.top - region.top) * stride;

  sharedKernel ??= loadKernel('resample') as Kernel;
  const kernel = sharedKernel;
  const tables = [horizontal, vertical].flatMap(({ starts, counts, weights }) => [starts, counts, weights]);
  const tableBytes = tables.reduce((bytes, table) => bytes + table.byteLength, 0);
  const sourceAt = align(tableBytes);
  const betweenAt = align(sourceAt + rows * stride + overrun);
  const betweenBytes = isVerticalFirst ? height * stride : rows * width * 3;
  const targetAt = align(betweenAt + betweenBytes + overrun);
  const end = targetAt + height * width * 3 + overrun;
  const bytes = roomOf(kernel, end);
  const addresses: number[] = [];
  let at = 0;
  for (const table of tables) {
    addresses.push(at);
    bytes.set(new Uint8Array(table.buffer), at);
    at += table.byteLength;
  }
  const [xStarts = 0, xCounts = 0, xWeights = 0, yStarts = 0, yCounts = 0, yWeights = 0] = addresses;
  bytes.set(pixels.data.subarray(firstByte, firstByte + rows * stride), sourceAt);
  const filterRows = (from: number, count: number, to: number): void => {
    kernel.horizontal(from, stride, count, xStarts, xCounts, xWeights, horizontal.taps, width, to);
  };
  const filterColumns = (from: number, rowBytes: number, to: number): void => {
    kernel.vertical(from, rowBytes, yStarts, yCounts, yWeights, vertical.taps, height, to);
  };
  if (isVerticalFirst) {
    filterColumns(sourceAt, stride, betweenAt);
    filterRows(betweenAt, height, targetAt);
  } else {
    filterRows(sourceAt, rows, betweenAt);
    filterColumns(betweenAt, width * 3, targetAt);
  }
  if (kernel.memory.buffer.byteLength > largestKept) sharedKernel = undefined;
  return { data: bytes.subarray(targetAt, targetAt + height * width * 3), width, height };
}

function shifted(axis: AxisWeights, by: number): AxisWeights {
  return by === 0 ? axis : { ...axis, starts: axis.starts.map((start) => start + by) };
}

function align(address: number): number {
  return Math.ceil(address / overrun) * overrun;
}
