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

/**
 * Spatial dims of Conv and pools: floor((in + pads − (dilation·(kernel−1)+1)) / stride) + 1, with SAME_* ⌈in / stride⌉ and
 * with VALID no pads. `ceil` (ceil_mode, ai.onnx 10) rounds up, but the last window must start inside the input or its
 * padding before it, as onnxruntime and PyTorch do. Throws SHAPE where a window is larger than the padded input.
 */
export function slidingDims(spatial: readonly number[], window: Window, ceil = false): number[] {
  const rank = spatial.length;
  return spatial.map((size, i) => {
    const stride = window.strides[i]!;
    const extent = window.dilations[i]! * (window.kernel[i]! - 1) + 1;
    if (window.autoPad.startsWith('SAME')) return Math.ceil(size / stride);
    const isExplicit = window.autoPad !== 'VALID';
    const before = isExplicit ? window.pads[i]! : 0;
    const after = isExplicit ? window.pads[rank + i]! : 0;
    const room = size + before + after - extent;
    if (room < 0)
      throw shapeError(`a window of ${extent} on axis ${i + 2} of size ${size} padded by ${before}, ${after}`);
    if (!ceil) return Math.floor(room / stride) + 1;
    const count = Math.ceil(room / stride) + 1;
    return (count - 1) * stride >= size + before ? count - 1 : count;
  });
}

/**
 * Spatial dims of ConvTranspose: stride·(in−1) + output_padding + dilation·(kernel−1) + 1 − pads; in·stride with SAME_*;
 * `output_shape` where it is given.
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
  return spatial.map((size, i) => {
    const stride = window.strides[i]!;
    const extra = outputPadding[i] ?? 0;
    if (window.autoPad.startsWith('SAME')) return size * stride + extra;
    const pads = window.autoPad === 'VALID' ? 0 : window.pads[i]! + window.pads[rank + i]!;
    const dim = stride * (size - 1) + extra + window.dilations[i]! * (window.kernel[i]! - 1) + 1 - pads;
    if (dim < 1) throw shapeError(`axis ${i + 2} of the result would be ${dim}`);
    return dim;
  });
}
