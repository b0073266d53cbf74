import { adamRates, adamStep } from '../../autodiff/adam-step.js';
import { int } from '../../graph/attributes.js';
import type { Value } from '../../graph/value.js';
import { called, type RuleContext, type UpdateRule } from './rule.js';

/** Adam's step (`adamStep`) from `weights`; the state is m, then v. */
export function moments(context: RuleContext, gradient: Value, weights: Value): ReturnType<UpdateRule['emit']> {
  const { e, settings, state, learningRate, step, length, names } = context;
  const [m, v] = e.split(state, [length, length]) as [Value, Value];
  const rates = adamRates(e, settings, learningRate, step);
  const { first, second, change } = adamStep(e, settings, { gradient, first: m, second: v }, rates);
  return {
    weights: e.emit('Sub', [weights, change], {}, called(names.weights)),
    state: e.emit('Concat', [first, second], { axis: int(0) }, called(names.state)),
  };
}
