import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import { type Gradient, unscaled } from './gradient.js';
import type { Geometry } from './window.js';

/** A convolution of one group to emit, in training values. */
export interface DenseConv {
  /** [I, …spatial, N] */
  readonly x: Value;
  /** [O, I, …kernel], as the model has it. */
  readonly weight: Value;
  readonly bias: Value | undefined;
  readonly geometry: Geometry;
  readonly label: string;
}

/** Row i of a matrix times scale[i]. */
export function scaledRows(e: Emitter, matrix: Value, scale: Value | undefined): Value {
  return scale === undefined ? matrix : e.mul(matrix, e.reshape(scale, [-1, 1]));
}

/** y [C, …, N] + bias [C] */
export function withBias(e: Emitter, y: Value, bias: Value | undefined): Value {
  return bias === undefined ? y : e.add(y, perChannel(e, bias, y));
}

/** Σ dy over all but the channels, [C]. */
export function biasGradient(e: Emitter, gradient: Gradient, y: Value): Gradient {
  const [channels] = e.dims(y);
  const dy = e.reshape(e.expandLike(unscaled(e, gradient), y), [channels!, -1]);
  return { value: e.reduceSum(dy, [1], false) };
}

/** A vector [C] to broadcast against `like` [C, …]. */
export function perChannel(e: Emitter, vector: Value, like: Value): Value {
  return e.reshape(vector, [
    -1,
    ...e
      .dims(like)
      .slice(1)
      .map(() => 1),
  ]);
}
