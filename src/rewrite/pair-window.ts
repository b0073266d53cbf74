import type { Attribute } from '../graph/attribute.js';
import type { Node } from '../graph/node.js';
import { transposedBegins, windowOf } from '../ops/support/window.js';
import { kernelSizes } from './geometry.js';
import type { FactorizableLayer } from './layers.js';

/** The window of a convolution along one axis. */
export interface AxisWindow {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
  readonly after: number;
  /** Of a transposed convolution: zeros that are added behind. */
  readonly outputPadding: number;
  /** SAME_* where the padding follows the size of the input; `before` and `after` are 0 then. */
  readonly autoPad: 'NOTSET' | 'SAME_UPPER' | 'SAME_LOWER';
}

/** Along each axis of the map. */
export type AxisWindows = readonly AxisWindow[];

export const idleWindow: AxisWindow = {
  ...{ kernel: 1, stride: 1, dilation: 1, before: 0, after: 0, outputPadding: 0 },
  autoPad: 'NOTSET',
};

/** The windows of a convolution, or of a transposed one. */
export function layerWindows(layer: FactorizableLayer): AxisWindows {
  return layer.form === 'conv-transposed'
    ? transposedWindows(layer)
    : axisWindows(layer.node, kernelSizes(layer.geometry));
}

/** The windows of a Conv with this kernel. */
function axisWindows(node: Node, kernel: readonly number[]): AxisWindows {
  const window = windowOf(node, kernel, kernel.length);
  const { autoPad } = window;
  const isSame = autoPad === 'SAME_UPPER' || autoPad === 'SAME_LOWER';
  const isExplicit = autoPad === 'NOTSET';
  return kernel.map((size, at) => ({
    kernel: size,
    stride: window.strides[at]!,
    dilation: window.dilations[at]!,
    before: isExplicit ? window.pads[at]! : 0,
    after: isExplicit ? window.pads[at + kernel.length]! : 0,
    outputPadding: 0,
    // A kernel of 1 needs no padding to give ⌈size / stride⌉ outputs.
    autoPad: isSame && size > 1 ? autoPad : 'NOTSET',
  }));
}

/** Sizes of the map that a transposed convolution reads and of the one that it gives, along each axis. */
interface Maps {
  readonly input: readonly number[];
  readonly output: readonly number[];
}

/** The windows of a ConvTranspose with explicit numbers, whatever says how much is cut. */
export function transposedWindows({ node, geometry, maps }: FactorizableLayer): AxisWindows {
  return transposedNumbers(node, kernelSizes(geometry), maps!);
}

export function transposedNumbers(node: Node, kernel: readonly number[], { input, output }: Maps): AxisWindows {
  const window = windowOf(node, kernel, kernel.length);
  const begins = transposedBegins(node, input, output, window);
  const paddings = node.ints('output_padding') ?? [];
  return kernel.map((size, at) => {
    const [stride, dilation] = [window.strides[at]!, window.dilations[at]!];
    const outputPadding = paddings[at] ?? 0;
    const full = stride * (input[at]! - 1) + outputPadding + dilation * (size - 1) + 1;
    const after = full - output[at]! - begins[at]!;
    return { kernel: size, stride, dilation, before: begins[at]!, after, outputPadding, autoPad: 'NOTSET' };
  });
}

/**
 * The windows of the one convolution that computes what two in a row compute, the first without bias. Along each axis one
 * of the two must do nothing (kernel 1, stride 1, no padding); the other one is then the window of both: padding zeros
 * before or behind a factor without bias is the same. undefined where both act along an axis.
 */
export function combineWindows(first: AxisWindows, second: AxisWindows): AxisWindows | undefined {
  const combine = (a: AxisWindow, b: AxisWindow): AxisWindow | undefined => (isIdle(b) ? a : isIdle(a) ? b : undefined);
  const both = first.map((axis, at) => combine(axis, second[at]!));
  return both.every((axis) => axis !== undefined) ? both : undefined;
}

/** Whether the window does nothing along an axis. */
export function isIdle({ kernel, stride, before, after, outputPadding }: AxisWindow): boolean {
  return kernel === 1 && stride === 1 && before === 0 && after === 0 && outputPadding === 0;
}

/**
 * The attributes of a convolution with these windows. undefined where no attributes say it for every input size: SAME with a
 * stride along one axis, explicit padding along the other.
 */
export function windowAttributes(windows: AxisWindows, group: number): Record<string, Attribute> | undefined {
  const list = (values: readonly number[]): Attribute => ({ type: 'ints', value: values });
  const common = {
    kernel_shape: list(windows.map(({ kernel }) => kernel)),
    strides: list(windows.map(({ stride }) => stride)),
    dilations: list(windows.map(({ dilation }) => dilation)),
    group: { type: 'int', value: group },
    ...(windows.some(({ outputPadding }) => outputPadding > 0)
      ? { output_padding: list(windows.map(({ outputPadding }) => outputPadding)) }
      : {}),
  } satisfies Record<string, Attribute>;
  const same = windows.find(({ autoPad }) => autoPad !== 'NOTSET')?.autoPad;
  const fits = ({ kernel, before, after, autoPad }: AxisWindow): boolean =>
    autoPad === same || (kernel === 1 && before === 0 && after === 0);
  if (same !== undefined && windows.every(fits)) return { ...common, auto_pad: { type: 'string', value: same } };
  const margins = windows.map(explicitMargins);
  if (!margins.every((sides) => sides !== undefined)) return undefined;
  return { ...common, pads: list([0, 1].flatMap((side) => margins.map((sides) => sides[side]!))) };
}

/** With stride 1, SAME pads by dilation · (kernel − 1) in all, whatever the size; the odd one goes behind with SAME_UPPER. */
function explicitMargins(axis: AxisWindow): readonly [number, number] | undefined {
  if (axis.autoPad === 'NOTSET') return [axis.before, axis.after];
  if (axis.stride !== 1) return undefined;
  const total = axis.dilation * (axis.kernel - 1);
  const small = Math.floor(total / 2);
  return axis.autoPad === 'SAME_UPPER' ? [small, total - small] : [total - small, small];
}
