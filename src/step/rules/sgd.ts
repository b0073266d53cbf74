import { called, decayed, type UpdateRule } from './rule.js';

/** b = m b + g, b = 0 before the first step; w = w − lr b, Nesterov: w − lr (g + m b). As PyTorch's SGD with dampening 0. */
export const sgd: UpdateRule = {
  buffers: ({ momentum }) => (momentum > 0 ? ['first'] : []),
  emit: (context) => {
    const { e, settings, weights, state, learningRate, names } = context;
    const { momentum, nesterov } = settings;
    const gradient = decayed(context);
    if (momentum === 0) {
      return {
        weights: e.emit('Sub', [weights, e.mul(gradient, learningRate)], {}, called(names.weights)),
        state: e.emit('Identity', [state], {}, called(names.state)),
      };
    }
    const buffer = e.emit('Add', [e.scale(state, momentum), gradient], {}, called(names.state));
    const direction = nesterov ? e.add(gradient, e.scale(buffer, momentum)) : buffer;
    return {
      weights: e.emit('Sub', [weights, e.mul(direction, learningRate)], {}, called(names.weights)),
      state: buffer,
    };
  },
};
