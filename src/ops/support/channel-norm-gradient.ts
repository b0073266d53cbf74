import type { Value } from '../../graph/value.js';
import type { GradientContext } from '../gradient.js';
import { sizeOf } from './layout.js';
import { normalize, normalizedGradient } from './normalization-gradient.js';

/**
 * Gradients of x, scale and bias of y = x̂·scale + bias, x̂ over groups of channels and all positions: x is seen as
 * [N, groups, C/groups, P], where a scale of one number per group or per channel has an axis for each.
 */
export function groupNormGradient(context: GradientContext, groups: number): (Value | undefined)[] {
  const { e, node, inputs, gradients, needs } = context;
  const [x, scale, bias] = inputs;
  const [, channels, ...spatial] = e.dims(x!);
  const split = (value: Value): Value => e.reshape(value, [0, groups, channels! / groups, sizeOf(spatial)]);
  const dy = split(gradients[0]!);
  const normalized = normalize(e, split(x!), [2, 3], node.float('epsilon', 1e-5), { isCentered: true });
  const isPerChannel = e.dims(scale!)[0] === channels;
  const parameters = [groups, isPerChannel ? channels! / groups : 1, 1];
  const summed = (value: Value, like: Value): Value =>
    e.reshapeLike(e.reduceSum(value, isPerChannel ? [0, 3] : [0, 2, 3], false), like);
  const dx = (): Value => normalizedGradient(e, normalized, e.mul(dy, e.reshape(scale!, parameters)));
  return [
    needs[0] === true ? e.reshapeLike(dx(), x!) : undefined,
    needs[1] === true ? summed(e.mul(dy, normalized.xhat), scale!) : undefined,
    needs[2] === true ? summed(dy, bias!) : undefined,
  ];
}
