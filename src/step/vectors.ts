import type { PreparedModel } from './prepare-model.js';
import { lengthOf, type Slot } from './flat.js';
import type { Value } from '../graph/value.js';

/** The whole state of a training, four flat vectors. */
export interface TrainingState {
  readonly parameters: Float32Array;
  /** Running means and variances of normalization layers. */
  readonly statistics: Float32Array;
  /** Of the optimizer. */
  readonly state: Float32Array;
  /** Moving averages of the parameters, then of the statistics; empty without averaging. */
  readonly ema: Float32Array;
}

function gather(slots: readonly (Slot & { readonly value: Value })[]): Float32Array {
  const flat = new Float32Array(lengthOf(slots));
  for (const { value, offset } of slots) flat.set(value.tensor!.toFloat32(), offset);
  return flat;
}

/** A state that nothing else writes to. */
export function copyState({ parameters, statistics, state, ema }: TrainingState): TrainingState {
  return { parameters: parameters.slice(), statistics: statistics.slice(), state: state.slice(), ema: ema.slice() };
}

/** Puts the parameters and the statistics behind each other into `ema`: what moving averages start at. */
export function startAverages({ parameters, statistics, ema }: TrainingState): void {
  ema.set(parameters);
  ema.set(statistics, parameters.length);
}

/** A state of zeros. */
export function blankState(
  { parameters, statistics }: Readonly<Record<'parameters' | 'statistics', readonly Slot[]>>,
  stateLength: number,
  hasAverage: boolean,
): TrainingState {
  const [count, others] = [lengthOf(parameters), lengthOf(statistics)];
  return {
    parameters: new Float32Array(count),
    statistics: new Float32Array(others),
    state: new Float32Array(stateLength),
    ema: new Float32Array(hasAverage ? count + others : 0),
  };
}

/** The parameters and statistics of the model as it is stored, an empty optimizer, and averages that start at them. */
export function initialState(prepared: PreparedModel, stateLength: number, hasAverage: boolean): TrainingState {
  const parameters = gather(prepared.parameters);
  const statistics = gather(prepared.statistics);
  const ema = new Float32Array(hasAverage ? parameters.length + statistics.length : 0);
  const initial = { parameters, statistics, state: new Float32Array(stateLength), ema };
  if (hasAverage) startAverages(initial);
  return initial;
}
