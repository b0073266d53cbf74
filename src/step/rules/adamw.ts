import { moments } from './moments.js';
import type { UpdateRule } from './rule.js';

/** Adam with w = w (1 − lr d) before the step (Loshchilov and Hutter, arXiv 1711.05101). */
export const adamw: UpdateRule = {
  buffers: () => ['first', 'second'],
  emit: (context) => {
    const { e, weights, mask, learningRate, gradient } = context;
    if (mask === undefined) return moments(context, gradient, weights);
    const shrunk = e.sub(weights, e.mul(weights, e.mul(mask, learningRate)));
    return moments(context, gradient, shrunk);
  },
};
