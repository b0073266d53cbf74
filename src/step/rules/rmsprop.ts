import { int } from '../../graph/attributes.js';
import { called, decayed, type UpdateRule } from './rule.js';

/**
 * s = β₂ s + (1 − β₂) g², b = m b + g / (√s + ε), w = w − lr b, as PyTorch's RMSprop with alpha = β₂. The state is s, then
 * b where there is momentum.
 */
export const rmsprop: UpdateRule = {
  buffers: ({ momentum }) => (momentum > 0 ? ['second', 'first'] : ['second']),
  emit: (context) => {
    const { e, settings, weights, state, learningRate, length, names } = context;
    const { beta2, momentum, epsilon } = settings;
    const gradient = decayed(context);
    const [old, oldBuffer] = momentum > 0 ? e.split(state, [length, length]) : [state];
    const squared = e.scale(e.mul(gradient, gradient), 1 - beta2);
    const isAlone = oldBuffer === undefined;
    const s = e.emit('Add', [e.scale(old!, beta2), squared], {}, isAlone ? called(names.state) : {});
    const scaled = e.div(gradient, e.add(e.emit('Sqrt', [s]), e.scalar(epsilon)));
    const direction = isAlone ? scaled : e.add(e.scale(oldBuffer, momentum), scaled);
    return {
      weights: e.emit('Sub', [weights, e.mul(direction, learningRate)], {}, called(names.weights)),
      state: isAlone ? s : e.emit('Concat', [s, direction], { axis: int(0) }, called(names.state)),
    };
  },
};
