import type { Attribute } from '../../graph/attribute.js';
import { floats, int, ints, string } from '../../graph/attributes.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import { sizeOf } from '../../ops/support/layout.js';
import type { LowerOptions } from './rule.js';

/**
 * Passes over [C, …, N] that the blocked convolution makes in one go where others take two: with N a multiple of the block,
 * the memory is that of an image of C · lanes channels, and a depthwise 1 × 1 convolution is one factor and one offset per
 * channel, plus a second tensor; with a tensor for its kernel it is a product and its sum.
 */
export interface Blocked {
  readonly lanes: number;
}

/** undefined where the operator is not to be used, or the batch is no multiple of the block. */
export function blockedFor(e: Emitter, x: Value, { blockSize }: LowerOptions): Blocked | undefined {
  const batch = e.dims(x).at(-1)!;
  return blockSize === undefined || e.rank(x) < 3 || batch % blockSize !== 0 ? undefined : { lanes: blockSize };
}

/** What follows a sum in the same pass. */
export interface Activation {
  readonly opType: 'HardSigmoid';
  readonly alpha: number;
  readonly beta: number;
}

/** x · slope + offset + sum, slope and offset [C] per channel, and an activation of that. */
export function affineSum(
  e: Emitter,
  x: Value,
  slope: Value,
  offset: Value,
  sum: Value,
  { lanes }: Blocked,
  activation?: Activation,
): Value {
  const dims = e.dims(x);
  const image = imageDims(dims, lanes);
  const repeated = (vector: Value): Value => {
    const ones = e.floats(new Float32Array(lanes).fill(1), [1, lanes]);
    return e.emit('MatMul', [e.reshape(vector, [dims[0]!, 1]), ones]);
  };
  const inputs = [
    e.reshape(x, image),
    e.reshape(repeated(slope), [image[1]!, 1, 1, 1]),
    e.reshape(repeated(offset), [image[1]!]),
    e.reshape(sum, image),
  ];
  return e.reshape(slide(e, inputs, [1, 1], activation), dims);
}

/** Σ x · y over all but the channels, [C]. */
export function productSum(e: Emitter, x: Value, y: Value, { lanes }: Blocked): Value {
  const image = imageDims(e.dims(x), lanes);
  const [, all, height, width] = image as [number, number, number, number];
  const sums = slide(e, [e.reshape(x, image), e.reshape(y, [all, 1, height, width])], [height, width]);
  return e.reduceSum(e.reshape(sums, [e.dims(x)[0]!, lanes]), [1], false);
}

/** [1, C · lanes, height, width] */
function imageDims(dims: readonly number[], lanes: number): readonly number[] {
  const [channels, height, ...rest] = dims as [number, number, ...number[]];
  return [1, channels * lanes, height, sizeOf(rest) / lanes];
}

function slide(e: Emitter, inputs: readonly Value[], kernel: readonly number[], activation?: Activation): Value {
  const attributes: Record<string, Attribute> = {
    group: int(e.dims(inputs[0]!)[1]!),
    kernel_shape: ints(kernel),
    strides: ints([1, 1]),
    dilations: ints([1, 1]),
    pads: ints([0, 0, 0, 0]),
    ...(activation === undefined
      ? {}
      : {
          activation: string(activation.opType),
          activation_params: floats([activation.alpha, activation.beta]),
        }),
  };
  return e.emit('Conv', inputs, attributes, { domain: 'com.microsoft.nchwc' });
}
