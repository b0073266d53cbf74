import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import type { Emitter } from './emitter.js';
import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';
import { adjointAlong, type LinearMap, linearMap } from './support/linear-map.js';

/** The channels that divide channel c: from c − ⌊(size−1)/2⌋ to c + ⌈(size−1)/2⌉; or, `isAdjoint`, those that c divides. */
function neighbours(channels: number, size: number, isAdjoint: boolean): LinearMap {
  const [before, after] = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)];
  const first = isAdjoint ? after : before;
  return linearMap(channels, channels, (c) =>
    Array.from({ length: size }, (_, i) => c - first + i)
      .filter((channel) => channel >= 0 && channel < channels)
      .map((channel): [number, number] => [channel, 1]),
  );
}

/** With S = bias + α/size·Σ x²: dx = dy·S^(−β) − 2αβ/size · x · Σ dy·y/S, the sum over the channels that x divides. */
function gradient(e: Emitter, dy: Value, x: Value, y: Value, node: Node): Value {
  const size = node.int('size', 1);
  const [alpha, beta] = [node.float('alpha', 1e-4), node.float('beta', 0.75)];
  const channels = e.dims(x)[1]!;
  // The sum over neighbours is the adjoint of the sum over those that have one as a neighbour.
  const sums = adjointAlong(e, e.mul(x, x), 1, neighbours(channels, size, true));
  const divisor = e.add(e.scale(sums, alpha / size), e.scalar(node.float('bias', 1), x));
  const back = adjointAlong(e, e.div(e.mul(dy, y), divisor), 1, neighbours(channels, size, false));
  const direct = e.mul(dy, e.emit('Pow', [divisor, e.scalar(-beta, x)]));
  return e.sub(direct, e.scale(e.mul(x, back), (2 * alpha * beta) / size));
}

/** Local response normalization across channels (ai.onnx 1): y = x / (bias + α/size·Σ x²)^β. */
export const lrn = unary('LRN', elementwise(gradient));
