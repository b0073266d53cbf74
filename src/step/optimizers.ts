import { adamRates, adamStep } from '../autodiff/adam-step.js';
import { int } from '../graph/attributes.js';
import type { Value } from '../graph/value.js';
import type { Emitter } from '../ops/emitter.js';
import type { GraphSettings, OptimizerName } from './settings.js';

export interface OptimizerContext {
  readonly e: Emitter;
  readonly settings: GraphSettings;
  /** [P] */
  readonly weights: Value;
  /** [P], clipped and with Frobenius decay. */
  readonly gradient: Value;
  readonly state: Value;
  readonly learningRate: Value;
  /** int64, from 1. */
  readonly step: Value;
  /** Weight decay of every element, or a scalar; undefined where there is none. */
  readonly mask: Value | undefined;
  readonly length: number;
}

export interface Optimizer {
  /** How many vectors of the length of the parameters its state has. */
  buffers(settings: GraphSettings): number;
  /** Emits a step; names its results `parameters_out` and `state_out`. */
  emit(context: OptimizerContext): { readonly weights: Value; readonly state: Value };
}

const named = { weights: { name: 'parameters_out' }, state: { name: 'state_out' } } as const;

/** g + d w */
function decayed({ e, gradient, weights, mask }: OptimizerContext): Value {
  return mask === undefined ? gradient : e.add(gradient, e.mul(weights, mask));
}

/** b = m b + g, b = 0 before the first step; w = w − lr b, Nesterov: w − lr (g + m b). As PyTorch's SGD with dampening 0. */
const sgd: Optimizer = {
  buffers: ({ momentum }) => (momentum > 0 ? 1 : 0),
  emit: (context) => {
    const { e, settings, weights, state, learningRate } = context;
    const { momentum, nesterov } = settings;
    const gradient = decayed(context);
    if (momentum === 0) {
      return {
        weights: e.emit('Sub', [weights, e.mul(gradient, learningRate)], {}, named.weights),
        state: e.emit('Identity', [state], {}, named.state),
      };
    }
    const buffer = e.emit('Add', [e.scale(state, momentum), gradient], {}, named.state);
    const direction = nesterov ? e.add(gradient, e.scale(buffer, momentum)) : buffer;
    return { weights: e.emit('Sub', [weights, e.mul(direction, learningRate)], {}, named.weights), state: buffer };
  },
};

/** Adam's step (`adamStep`); the state is m, then v. */
function moments(context: OptimizerContext, gradient: Value, weights: Value): ReturnType<Optimizer['emit']> {
  const { e, settings, state, learningRate, step, length } = context;
  const [m, v] = e.split(state, [length, length]) as [Value, Value];
  const rates = adamRates(e, settings, learningRate, step);
  const { first, second, change } = adamStep(e, settings, { gradient, first: m, second: v }, rates);
  return {
    weights: e.emit('Sub', [weights, change], {}, named.weights),
    state: e.emit('Concat', [first, second], { axis: int(0) }, named.state),
  };
}

const adam: Optimizer = {
  buffers: () => 2,
  emit: (context) => moments(context, decayed(context), context.weights),
};

/** Adam with w = w (1 − lr d) before the step (Loshchilov and Hutter, arXiv 1711.05101). */
const adamw: Optimizer = {
  buffers: () => 2,
  emit: (context) => {
    const { e, weights, mask, learningRate, gradient } = context;
    if (mask === undefined) return moments(context, gradient, weights);
    const shrunk = e.sub(weights, e.mul(weights, e.mul(mask, learningRate)));
    return moments(context, gradient, shrunk);
  },
};

/**
 * s = β₂ s + (1 − β₂) g², b = m b + g / (√s + ε), w = w − lr b, as PyTorch's RMSprop with alpha = β₂. The state is s, then
 * b where there is momentum.
 */
const rmsprop: Optimizer = {
  buffers: ({ momentum }) => (momentum > 0 ? 2 : 1),
  emit: (context) => {
    const { e, settings, weights, state, learningRate, length } = context;
    const { beta2, momentum, epsilon } = settings;
    const gradient = decayed(context);
    const [old, oldBuffer] = momentum > 0 ? e.split(state, [length, length]) : [state];
    const squared = e.scale(e.mul(gradient, gradient), 1 - beta2);
    const isAlone = oldBuffer === undefined;
    const s = e.emit('Add', [e.scale(old!, beta2), squared], {}, isAlone ? named.state : {});
    const scaled = e.div(gradient, e.add(e.emit('Sqrt', [s]), e.scalar(epsilon)));
    const direction = isAlone ? scaled : e.add(e.scale(oldBuffer, momentum), scaled);
    return {
      weights: e.emit('Sub', [weights, e.mul(direction, learningRate)], {}, named.weights),
      state: isAlone ? s : e.emit('Concat', [s, direction], { axis: int(0) }, named.state),
    };
  },
};

export const optimizers: Readonly<Record<OptimizerName, Optimizer>> = { sgd, adam, adamw, rmsprop };
