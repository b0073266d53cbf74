import { type Gradient, rule } from '../gradient.js';

/**
 * Of Max and Min: the inputs that equal the result share its gradient evenly. For two that is the convention of
 * PyTorch's maximum: half each where they are equal.
 */
export const extremeGradient: Gradient = rule(({ e, inputs, outputs: [y], gradients: [dy], needs }) => {
  if (inputs.length === 1) return [dy];
  const masks = inputs.map((x) => e.indicator(e.emit('Equal', [x!, y!]), y!));
  const share = e.div(
    dy!,
    masks.reduce((sum, mask) => e.add(sum, mask)),
  );
  return inputs.map((x, i) => (needs[i] === true ? e.sumTo(e.mul(share, masks[i]!), x!) : undefined));
});
