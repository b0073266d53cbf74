import { lengthOf, type Slot } from './flat.js';
import type { TrainingState } from './vectors.js';

/** Where each tensor lies in the vectors of a state, and whose state the optimizer's is. */
export interface StateLayout {
  readonly parameters: readonly Slot[];
  readonly statistics: readonly Slot[];
  readonly optimizer: string;
  /** The parameters that the optimizer keeps something of, as they lie in each of its buffers. Default: all. */
  readonly buffered?: readonly Slot[];
}

/** A state, and where what lies in it. */
export interface LaidOut {
  readonly state: TrainingState;
  readonly layout: StateLayout;
}

/** A tensor with all that a training keeps of it: views into the vectors of a state. */
export interface TrainedTensor {
  readonly shape: readonly number[];
  readonly value: Float32Array;
  /** The optimizer's, in the order of its rule; statistics have none. */
  readonly buffers: readonly Float32Array[];
  /** Without averaging undefined. */
  readonly average: Float32Array | undefined;
}

/** Parameters and statistics by their names. */
export type TrainedTensors = ReadonlyMap<string, TrainedTensor>;

export function tensorsOf({ state, layout }: LaidOut): TrainedTensors {
  const { parameters, statistics, buffered = parameters } = layout;
  const length = lengthOf(parameters);
  const stretch = lengthOf(buffered);
  const placeOf = new Map(buffered.map((slot) => [slot.name, slot]));
  const part = (vector: Float32Array, { size }: Slot, offset: number): Float32Array =>
    vector.subarray(offset, offset + size);
  const average = (slot: Slot, offset: number): Float32Array | undefined =>
    state.ema.length === 0 ? undefined : part(state.ema, slot, offset);
  const count = stretch === 0 ? 0 : state.state.length / stretch;
  const buffersOf = (own: Slot | undefined): readonly Float32Array[] =>
    own === undefined ? [] : Array.from({ length: count }, (_, i) => part(state.state, own, i * stretch + own.offset));
  return new Map<string, TrainedTensor>([
    ...parameters.map((slot): [string, TrainedTensor] => [
      slot.name,
      {
        shape: slot.shape,
        value: part(state.parameters, slot, slot.offset),
        buffers: buffersOf(placeOf.get(slot.name)),
        average: average(slot, slot.offset),
      },
    ]),
    ...statistics.map((slot): [string, TrainedTensor] => [
      slot.name,
      {
        shape: slot.shape,
        value: part(state.statistics, slot, slot.offset),
        buffers: [],
        average: average(slot, length + slot.offset),
      },
    ]),
  ]);
}
