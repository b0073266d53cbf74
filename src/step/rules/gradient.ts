import { called, type UpdateRule } from './rule.js';

/** The gradient itself takes the place of the weights: for those who use it otherwise. No optimizer that is offered. */
export const gradient: UpdateRule = {
  buffers: () => [],
  emit: (context) => {
    const { e, state, names } = context;
    return {
      weights: e.emit('Identity', [context.gradient], {}, called(names.weights)),
      state: e.emit('Identity', [state], {}, called(names.state)),
    };
  },
};
