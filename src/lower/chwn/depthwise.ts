import { ints } from '../../graph/attributes.js';
import type { Attribute } from '../../graph/attribute.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import { biasGradient, perChannel, scaledRows, withBias } from './conv-parts.js';
import { expanded } from './gradient.js';
import type { LowerContext, LoweringRule, LowerOptions } from './rule.js';
import { convGeometry, type Geometry } from './window.js';

/**
 * How the images of a batch become lanes and columns. With the blocked operator, [C, H, W, N] is the memory of an image of
 * C · lanes channels in blocks of `lanes` and W · columns wide; without it, of C channels and W · N wide, where taps of a
 * row lie N apart.
 */
interface Lanes {
  readonly domain: string;
  readonly lanes: number;
  readonly columns: number;
}

function lanesOf(batch: number, { blockSize }: LowerOptions): Lanes {
  return blockSize === undefined || batch % blockSize !== 0
    ? { domain: '', lanes: 1, columns: batch }
    : { domain: 'com.microsoft.nchwc', lanes: blockSize, columns: batch / blockSize };
}

/** What lies around the two spatial axes of one depthwise convolution. */
interface Window2 {
  readonly from: Pair;
  readonly to: Pair;
  readonly kernel: Pair;
  readonly strides: Pair;
  readonly dilations: Pair;
  readonly before: Pair;
}
type Pair = readonly [number, number];

/**
 * Conv of one channel per group, as a depthwise convolution of one wide image. Back: dX is the convolution of dY, with
 * zeros between its elements where there was a stride, with the weight turned by half; dW is that of X with dY for a kernel.
 */
export const depthwise: LoweringRule = (node, { dims }) => {
  const [input, weight, bias] = node.inputs;
  if (!node.is('Conv') || input === undefined || weight === undefined || dims(input).length !== 4) return undefined;
  const channels = dims(input)[1]!;
  if (channels === 1 || node.int('group', 1) !== channels || dims(weight)[0] !== channels) return undefined;
  const geometry = convGeometry(node, dims(weight).slice(2), dims(input).slice(2));
  if (!isInside(geometry)) return undefined;
  const window = geometry as unknown as Window2;
  return {
    emit: (context) => {
      const { e, options } = context;
      const x = context.batchLast(input);
      const w = context.inModel(weight);
      const b = bias === undefined ? undefined : context.inModel(bias);
      const lanes = lanesOf(e.dims(x)[3]!, options);
      const y = withBias(e, forward(e, x, w, window, lanes), b);
      record(context, { x, w, b, y, window, lanes, label: node.label });
      context.define(node.outputs[0]!, y, 'batch-last');
    },
  };
};

/** Whether the padding on each side is less than a window, so that the way back has no negative padding. */
function isInside({ from, to, kernel, strides, dilations, before }: Geometry): boolean {
  return from.every((length, axis) => {
    const reach = dilations[axis]! * (kernel[axis]! - 1);
    const last = (to[axis]! - 1) * strides[axis]! - before[axis]!;
    return before[axis]! <= reach && last < length;
  });
}

interface Emitted {
  readonly x: Value;
  readonly w: Value;
  readonly b: Value | undefined;
  readonly y: Value;
  readonly window: Window2;
  readonly lanes: Lanes;
  readonly label: string;
}

function record({ e, record: add }: LowerContext, { x, w, b, y, window, lanes, label }: Emitted): void {
  add({
    inputs: [x, w, b],
    outputs: [y],
    label,
    backward: ([gradient], needs) => {
      const { scale } = gradient!;
      const dy = expanded(e, gradient!, y);
      const isSpread = window.strides.some((stride) => stride !== 1);
      const spread = isSpread ? spreadOut(e, dy, window) : dy;
      const [channels] = e.dims(x) as [number];
      const dw = needs[1] === true ? weightGradient(e, x, dy, spread, window, lanes) : undefined;
      return [
        needs[0] === true ? { value: inputGradient(e, scaled(e, w, scale), spread, window, lanes) } : undefined,
        dw === undefined ? undefined : { value: e.reshapeLike(scaledRows(e, e.reshape(dw, [channels, -1]), scale), w) },
        needs[2] === true ? biasGradient(e, gradient!, y) : undefined,
      ];
    },
  });
}

const scaled = (e: Emitter, w: Value, scale: Value | undefined): Value =>
  scale === undefined ? w : e.mul(w, perChannel(e, scale, w));

/** [C, H, W, N] as the image that the operator takes. */
function image(e: Emitter, x: Value, { lanes, columns }: Lanes): Value {
  const [channels, height, width] = e.dims(x) as [number, number, number];
  return e.reshape(x, [1, channels * lanes, height, width * columns]);
}

/** The weight [C, 1, kh, kw] for every lane. */
function kernelOf(e: Emitter, w: Value, { lanes }: Lanes): Value {
  if (lanes === 1) return w;
  const [channels, , height, width] = e.dims(w) as [number, number, number, number];
  const ones = e.floats(new Float32Array(lanes).fill(1), [1, lanes]);
  const repeated = e.emit('MatMul', [e.reshape(w, [channels * height * width, 1]), ones]);
  return e.reshape(repeated, [channels * lanes, 1, height, width]);
}

interface Slide {
  readonly kernel: Pair;
  readonly strides: Pair;
  readonly dilations: Pair;
  readonly before: Pair;
  readonly after: Pair;
}

function slide(e: Emitter, x: Value, kernel: Value, { domain }: Lanes, by: Slide): Value {
  const attributes: Record<string, Attribute> = {
    group: { type: 'int', value: e.dims(x)[1]! },
    kernel_shape: ints(by.kernel),
    strides: ints(by.strides),
    dilations: ints(by.dilations),
    pads: ints([...by.before, ...by.after]),
  };
  return e.emit('Conv', [x, kernel], attributes, { domain });
}

const wide = ([height, width]: Pair, { columns }: Lanes): Pair => [height, width * columns];
const pair = (f: (axis: 0 | 1) => number): Pair => [f(0), f(1)];

/** [C, Ho, Wo, N]. Columns of several images cannot be strided over: then the stride is taken afterwards. */
function forward(e: Emitter, x: Value, w: Value, window: Window2, lanes: Lanes): Value {
  const { from, to, kernel, strides, dilations, before } = window;
  const [channels, , , batch] = e.dims(x) as [number, number, number, number];
  const isDirect = lanes.columns === 1 || strides[1] === 1;
  const steps: Pair = isDirect ? strides : [strides[0], 1];
  const computed: Pair = isDirect ? to : [to[0], (to[1] - 1) * strides[1] + 1];
  const reach = pair((axis) => dilations[axis] * (kernel[axis] - 1));
  const after = pair((axis) => (computed[axis] - 1) * steps[axis] + reach[axis] + 1 - from[axis] - before[axis]);
  const cut = cropped(e, x, after);
  const product = slide(e, image(e, cut, lanes), kernelOf(e, w, lanes), lanes, {
    kernel,
    strides: steps,
    dilations: wide(dilations, lanes),
    before: wide(before, lanes),
    after: wide(
      pair((axis) => Math.max(0, after[axis])),
      lanes,
    ),
  });
  const y = e.reshape(product, [channels, ...computed, batch]);
  if (isDirect) return y;
  const chosen = Array.from({ length: to[1] }, (_, o) => o * strides[1]);
  return e.emit('Gather', [y, e.ints(chosen)], { axis: { type: 'int', value: 2 } });
}

/** x [C, H, W, N] without the last elements that no window reads, where the padding behind is negative. */
function cropped(e: Emitter, x: Value, after: Pair): Value {
  const [, height, width] = e.dims(x) as [number, number, number];
  if (after.every((pad) => pad >= 0)) return x;
  const ends = [height + Math.min(0, after[0]), width + Math.min(0, after[1])];
  return e.slice(x, [0, 0], ends, [1, 2]);
}

/** dY with zeros between: element o at place o · stride, [C, (Ho − 1)·s + 1, (Wo − 1)·s + 1, N]. */
function spreadOut(e: Emitter, dy: Value, { to, strides }: Window2): Value {
  const [channels, height, width, batch] = e.dims(dy) as [number, number, number, number];
  const places = height * width;
  const [rows, columns] = pair((axis) => (to[axis] - 1) * strides[axis] + 1);
  const at = Array.from({ length: rows * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const isTaken = row % strides[0] === 0 && column % strides[1] === 0;
    return isTaken ? (row / strides[0]) * width + column / strides[1] : places;
  });
  const zeros = e.floats(new Float32Array(channels * batch), [channels, 1, batch]);
  const padded = e.concat([e.reshape(dy, [channels, places, batch]), zeros], 1);
  const taken = e.emit('Gather', [padded, e.ints(at)], { axis: { type: 'int', value: 1 } });
  return e.reshape(taken, [channels, rows, columns, batch]);
}

function inputGradient(e: Emitter, w: Value, spread: Value, window: Window2, lanes: Lanes): Value {
  const { from, kernel, dilations, before } = window;
  const [channels, rows, columns, batch] = e.dims(spread) as [number, number, number, number];
  const taps = kernel[0] * kernel[1];
  const reversed = e.ints(Array.from({ length: taps }, (_, tap) => taps - 1 - tap));
  const turned = e.emit('Gather', [e.reshape(w, [channels, taps]), reversed], { axis: { type: 'int', value: 1 } });
  const reach = pair((axis) => dilations[axis] * (kernel[axis] - 1));
  const lengths: Pair = [rows, columns];
  const start = pair((axis) => reach[axis] - before[axis]);
  const end = pair((axis) => from[axis] + reach[axis] - lengths[axis] - start[axis]);
  const dx = slide(e, image(e, spread, lanes), kernelOf(e, e.reshapeLike(turned, w), lanes), lanes, {
    kernel,
    strides: [1, 1],
    dilations: wide(dilations, lanes),
    before: wide(start, lanes),
    after: wide(end, lanes),
  });
  return e.reshape(dx, [channels, ...from, batch]);
}

/** [C, kh, kw] */
function weightGradient(e: Emitter, x: Value, dy: Value, spread: Value, window: Window2, lanes: Lanes): Value {
  const { from, to, kernel, strides, dilations, before } = window;
  const [channels] = e.dims(x) as [number];
  const isDirect = lanes.columns === 1;
  const reach = pair((axis) => dilations[axis] * (kernel[axis] - 1));
  const length = pair((axis) => (to[axis] - 1) * strides[axis] + 1);
  const after = pair((axis) => reach[axis] + length[axis] - from[axis] - before[axis]);
  const [, height, width] = e.dims(isDirect ? dy : spread) as [number, number, number];
  const shape = wide([height, width], lanes);
  const dw = slide(
    e,
    image(e, cropped(e, x, after), lanes),
    e.reshape(isDirect ? dy : spread, [channels * lanes.lanes, 1, ...shape]),
    lanes,
    {
      kernel: shape,
      strides: wide(dilations, lanes),
      dilations: isDirect ? strides : [1, 1],
      before: wide(before, lanes),
      after: wide(
        pair((axis) => Math.max(0, after[axis])),
        lanes,
      ),
    },
  );
  if (lanes.lanes === 1) return dw;
  return e.reduceSum(e.reshape(dw, [channels, kernel[0] * kernel[1], lanes.lanes]), [2], false);
}
