import type { Node } from '../../graph/node.js';
import type { Gradient } from '../gradient.js';
import type { InferenceContext, Known, Operator } from '../operator.js';
import { shapeError } from './fail.js';
import { input, known } from './known.js';
import { showDims } from './layout.js';
import { pooledDims, windowOf } from './window.js';

/** Dims of a pool over x [N, C, …]. Throws SHAPE where kernel_shape is missing or does not fit. */
export function poolDims(node: Node, dims: readonly number[]): number[] {
  const kernel = node.ints('kernel_shape');
  if (kernel === undefined || dims.length < 3) throw shapeError(`pool of ${showDims(dims)}`);
  const spatial = dims.slice(2);
  const window = windowOf(node, kernel, spatial.length);
  return [dims[0]!, dims[1]!, ...pooledDims(spatial, window, node.int('ceil_mode', 0) !== 0)];
}

export function inferPool(context: InferenceContext): Known[] {
  const x = input(context, 0);
  return [known(x.dataType, poolDims(context.node, x.dims))];
}

/** Every spatial axis of x [N, C, …] becomes 1. */
export function globalPool(opType: string, gradient: Gradient): Operator {
  return {
    opType,
    domain: '',
    gradient,
    infer: (context) => {
      const x = input(context, 0);
      return [
        known(
          x.dataType,
          x.dims.map((dim, i) => (i < 2 ? dim : 1)),
        ),
      ];
    },
  };
}

/** Applies `rule` to the dims of a channels-last tensor as if channels came second. */
export function channelsLast(dims: readonly number[], rule: (dims: readonly number[]) => readonly number[]): number[] {
  const [batch, channels, ...spatial] = rule([dims[0]!, dims.at(-1)!, ...dims.slice(1, -1)]);
  return [batch!, ...spatial, channels!];
}
