import type { Node } from '../../graph/node.js';
import { shapeError } from './fail.js';
import { showDims } from './layout.js';

/** Attributes of a sliding window, one number per spatial axis; pads are all begins, then all ends. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
  readonly autoPad: string;
}

/** The window attributes of Conv, ConvTranspose and pools. Throws SHAPE where they do not fit `rank` spatial axes. */
export function windowOf(node: Node, kernel: readonly number[], rank: number): Window {
  const list = (name: string, length: number, fallback: number): readonly number[] => {
    const given = node.ints(name);
    if (given === undefined || given.length === 0) return Array.from({ length }, () => fallback);
    if (given.length !== length) throw shapeError(`${name} ${showDims(given)} for ${rank} spatial axes`);
    return given;
  };
  if (kernel.length !== rank) throw shapeError(`kernel ${showDims(kernel)} for ${rank} spatial axes`);
  const window = {
    kernel,
    strides: list('strides', rank, 1),
    dilations: list('dilations', rank, 1),
    pads: list('pads', 2 * rank, 0),
    autoPad: node.string('auto_pad', 'NOTSET'),
  };
  const positive = [...kernel, ...window.strides, ...window.dilations];
  if (positive.some((value) => value < 1)) throw shapeError('kernel, strides and dilations must be positive');
  return window;
}

/** Padding of one axis, before and after it. */
type Margins = readonly [number, number];

function explicitMargins(window: Window, axis: number): Margins {
  if (window.autoPad === 'VALID') return [0, 0];
  return [window.pads[axis]!, window.pads[window.kernel.length + axis]!];
}

function windowTooLarge(size: number, [before, after]: Margins, extent: number, axis: number): Error {
  return shapeError(`a window of ${extent} on axis ${axis + 2} of size ${size} padded by ${before} and ${after}`);
}

const extentOf = ({ dilations, kernel }: Window, axis: number): number => dilations[axis]! * (kernel[axis]! - 1) + 1;

/**
 * Spatial dims of Conv: ⌊(in + pads − (dilation·(kernel−1)+1)) / stride⌋ + 1, with SAME_* ⌈in / stride⌉, with VALID no pads.
 * Throws SHAPE where a window is larger than the padded input.
 */
export function convolvedDims(spatial: readonly number[], window: Window): number[] {
  return spatial.map((size, axis) => {
    const stride = window.strides[axis]!;
    if (window.autoPad.startsWith('SAME')) return Math.ceil(size / stride);
    const margins = explicitMargins(window, axis);
    const extent = extentOf(window, axis);
    const room = size + margins[0] + margins[1] - extent;
    if (room < 0) throw windowTooLarge(size, margins, extent, axis);
    return Math.floor(room / stride) + 1;
  });
}

/**
 * Zeros before each spatial axis of a convolution from `input` to `output` dims: `pads`, or what auto_pad makes of them.
 * SAME_* halves what the windows need beyond the input; an odd one goes to the end, with SAME_LOWER to the beginning.
 */
export function convolutionBegins(input: readonly number[], output: readonly number[], window: Window): number[] {
  return input.map((size, axis) => {
    if (!window.autoPad.startsWith('SAME')) return explicitMargins(window, axis)[0];
    const missing = Math.max(0, (output[axis]! - 1) * window.strides[axis]! + extentOf(window, axis) - size);
    return window.autoPad === 'SAME_LOWER' ? Math.ceil(missing / 2) : Math.floor(missing / 2);
  });
}

/**
 * Spatial dims of pools: as Conv, but `isCeil` (ceil_mode, ai.onnx 10) rounds up, where the last window must start inside
 * the input or the padding before it, as in onnxruntime and PyTorch; and the pads of SAME_* are those of a window without
 * dilations, as onnxruntime has them. There a window may be larger than the padded input by less than a stride.
 */
export function pooledDims(spatial: readonly number[], window: Window, isCeil: boolean): number[] {
  return spatial.map((size, axis) => {
    const stride = window.strides[axis]!;
    const margins = poolMargins(size, window, axis);
    const extent = extentOf(window, axis);
    const steps = (size + margins[0] + margins[1] - extent) / stride;
    const last = isCeil ? Math.ceil(steps) : Math.trunc(steps);
    const count = isCeil && last * stride >= size + margins[0] ? last : last + 1;
    if (count < 0) throw windowTooLarge(size, margins, extent, axis);
    return count;
  });
}

/** Padding of a pool along one axis; see pooledDims. */
function poolMargins(size: number, window: Window, axis: number): Margins {
  if (!window.autoPad.startsWith('SAME')) return explicitMargins(window, axis);
  const stride = window.strides[axis]!;
  const missing = (Math.ceil(size / stride) - 1) * stride + window.kernel[axis]! - size;
  const halves: Margins = [Math.floor(missing / 2), Math.ceil(missing / 2)];
  return window.autoPad === 'SAME_LOWER' ? [halves[1], halves[0]] : halves;
}

/** Padding of a pool before each spatial axis. */
export function poolBegins(input: readonly number[], window: Window): number[] {
  return input.map((size, axis) => poolMargins(size, window, axis)[0]);
}

/**
 * What ConvTranspose from `input` to `output` dims cuts before each spatial axis: `pads`, or, with auto_pad or
 * output_shape, half of what is too much; an odd one goes to the end with SAME_UPPER, else to the beginning.
 */
export function transposedBegins(
  node: Node,
  input: readonly number[],
  output: readonly number[],
  window: Window,
): number[] {
  const isSame = window.autoPad.startsWith('SAME');
  if (!isSame && (node.ints('output_shape') ?? []).length === 0) {
    return input.map((_, axis) => explicitMargins(window, axis)[0]);
  }
  const outputPadding = node.ints('output_padding') ?? [];
  return input.map((size, axis) => {
    const full = window.strides[axis]! * (size - 1) + (outputPadding[axis] ?? 0) + extentOf(window, axis);
    const excess = Math.max(0, full - output[axis]!);
    return window.autoPad === 'SAME_UPPER' ? Math.floor(excess / 2) : Math.ceil(excess / 2);
  });
}

/**
 * Spatial dims of ConvTranspose: full − pads, where full = stride·(in−1) + output_padding + dilation·(kernel−1) + 1; with
 * SAME_* in·stride, or full where that is less; `output_shape` where it is given.
 */
export function transposedDims(node: Node, spatial: readonly number[], window: Window): number[] {
  const rank = spatial.length;
  const outputShape = node.ints('output_shape');
  if (outputShape !== undefined && outputShape.length > 0) {
    // Some exporters repeat the batch and channel dimensions.
    if (outputShape.length !== rank && outputShape.length !== rank + 2) {
      throw shapeError(`output_shape ${showDims(outputShape)} for ${rank} spatial axes`);
    }
    return outputShape.slice(-rank);
  }
  const outputPadding = node.ints('output_padding') ?? [];
  return spatial.map((size, axis) => {
    const stride = window.strides[axis]!;
    const full = stride * (size - 1) + (outputPadding[axis] ?? 0) + extentOf(window, axis);
    if (window.autoPad.startsWith('SAME')) return Math.min(full, size * stride);
    const [before, after] = explicitMargins(window, axis);
    if (full <= before + after) throw shapeError(`axis ${axis + 2} of the result would be ${full - before - after}`);
    return full - before - after;
  });
}
