import type { Attribute } from '../graph/attribute.js';
import type { Node } from '../graph/node.js';
import { windowOf } from '../ops/support/window.js';

/** The window of a convolution along one axis. */
export interface AxisWindow {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
  readonly after: number;
  /** SAME_* where the padding follows the size of the input; `before` and `after` are 0 then. */
  readonly autoPad: 'NOTSET' | 'SAME_UPPER' | 'SAME_LOWER';
}

/** Height and width. */
export type AxisWindows = readonly [AxisWindow, AxisWindow];

/** The windows of a 2-D Conv with this kernel. */
export function axisWindows(node: Node, kernel: readonly [number, number]): AxisWindows {
  const window = windowOf(node, kernel, 2);
  const { autoPad } = window;
  const isSame = autoPad === 'SAME_UPPER' || autoPad === 'SAME_LOWER';
  const axis = (index: 0 | 1): AxisWindow => {
    const isExplicit = autoPad === 'NOTSET';
    return {
      kernel: kernel[index],
      stride: window.strides[index]!,
      dilation: window.dilations[index]!,
      before: isExplicit ? window.pads[index]! : 0,
      after: isExplicit ? window.pads[index + 2]! : 0,
      // A kernel of 1 needs no padding to give ⌈size / stride⌉ outputs.
      autoPad: isSame && kernel[index] > 1 ? autoPad : 'NOTSET',
    };
  };
  return [axis(0), axis(1)];
}

/**
 * The windows of the one convolution that computes what two in a row compute, the first without bias. Along each axis one
 * of the two must do nothing (kernel 1, stride 1, no padding); the other one is then the window of both: padding zeros
 * before or behind a factor without bias is the same. undefined where both act along an axis.
 */
export function combineWindows(first: AxisWindows, second: AxisWindows): AxisWindows | undefined {
  const combine = (a: AxisWindow, b: AxisWindow): AxisWindow | undefined => (isIdle(b) ? a : isIdle(a) ? b : undefined);
  const height = combine(first[0], second[0]);
  const width = combine(first[1], second[1]);
  return height === undefined || width === undefined ? undefined : [height, width];
}

function isIdle({ kernel, stride, before, after }: AxisWindow): boolean {
  return kernel === 1 && stride === 1 && before === 0 && after === 0;
}

/**
 * The Conv attributes of these windows, group 1. undefined where no attributes say it for every input size: SAME with a
 * stride along one axis, explicit padding along the other.
 */
export function windowAttributes(windows: AxisWindows): Record<string, Attribute> | undefined {
  const list = (values: readonly number[]): Attribute => ({ type: 'ints', value: values });
  const common = {
    kernel_shape: list(windows.map(({ kernel }) => kernel)),
    strides: list(windows.map(({ stride }) => stride)),
    dilations: list(windows.map(({ dilation }) => dilation)),
    group: { type: 'int', value: 1 },
  } satisfies Record<string, Attribute>;
  const same = windows.find(({ autoPad }) => autoPad !== 'NOTSET')?.autoPad;
  const fits = ({ kernel, before, after, autoPad }: AxisWindow): boolean =>
    autoPad === same || (kernel === 1 && before === 0 && after === 0);
  if (same !== undefined && windows.every(fits)) return { ...common, auto_pad: { type: 'string', value: same } };
  const margins = windows.map(explicitMargins);
  const [height, width] = margins;
  if (height === undefined || width === undefined) return undefined;
  return { ...common, pads: list([height[0], width[0], height[1], width[1]]) };
}

/** With stride 1, SAME pads by dilation · (kernel − 1) in all, whatever the size; the odd one goes behind with SAME_UPPER. */
function explicitMargins(axis: AxisWindow): readonly [number, number] | undefined {
  if (axis.autoPad === 'NOTSET') return [axis.before, axis.after];
  if (axis.stride !== 1) return undefined;
  const total = axis.dilation * (axis.kernel - 1);
  const small = Math.floor(total / 2);
  return axis.autoPad === 'SAME_UPPER' ? [small, total - small] : [total - small, small];
}
