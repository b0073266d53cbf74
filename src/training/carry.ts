import { lengthOf, type Slot } from '../step/flat.js';
import type { TrainingState } from '../step/vectors.js';

/** Where each tensor lies in the vectors of a state, and whose state the optimizer's is. */
export interface StateLayout {
  readonly parameters: readonly Slot[];
  readonly statistics: readonly Slot[];
  readonly optimizer: string;
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

/** Writes into tensors that the segment before has not; they begin as the model has them, with an optimizer of zeros. */
export type CarryOthers = (before: TrainedTensors, others: TrainedTensors) => void | Promise<void>;

/** How tensors come from one segment into the next. */
export interface Carrying {
  /** What becomes of tensors that the segment before has not, by name and shape; default: as the model has them. */
  readonly carryOthers?: CarryOthers;
  /** All tensors, and their averages, begin as the model has them, which was made of that of the segment before: what differs was meant. */
  readonly areValuesOfModel?: boolean;
}

export function tensorsOf({ state, layout }: LaidOut): TrainedTensors {
  const { parameters, statistics } = layout;
  const length = lengthOf(parameters);
  const part = (vector: Float32Array, { size }: Slot, offset: number): Float32Array =>
    vector.subarray(offset, offset + size);
  const average = (slot: Slot, offset: number): Float32Array | undefined =>
    state.ema.length === 0 ? undefined : part(state.ema, slot, offset);
  const buffers = length === 0 ? 0 : state.state.length / length;
  return new Map<string, TrainedTensor>([
    ...parameters.map((slot): [string, TrainedTensor] => [
      slot.name,
      {
        shape: slot.shape,
        value: part(state.parameters, slot, slot.offset),
        buffers: Array.from({ length: buffers }, (_, i) => part(state.state, slot, i * length + slot.offset)),
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

/**
 * Carries a state over into that of a segment whose model is another: tensors of the same name and shape go on as they are, with
 * what the optimizer keeps of them where it is the same; `carryOthers` says what becomes of the rest, whose averages begin at
 * their values.
 */
export async function carryState(
  before: LaidOut,
  next: LaidOut,
  { carryOthers, areValuesOfModel = false }: Carrying = {},
): Promise<void> {
  const old = tensorsOf(before);
  const others = new Map<string, TrainedTensor>();
  const isSameRule = before.layout.optimizer === next.layout.optimizer;
  for (const [name, tensor] of tensorsOf(next)) {
    const same = old.get(name);
    if (same === undefined || String(same.shape) !== String(tensor.shape)) {
      others.set(name, tensor);
      continue;
    }
    if (!areValuesOfModel) tensor.value.set(same.value);
    tensor.average?.set(areValuesOfModel ? tensor.value : (same.average ?? same.value));
    if (!isSameRule || same.buffers.length !== tensor.buffers.length) continue;
    for (const [i, buffer] of tensor.buffers.entries()) buffer.set(same.buffers[i]!);
  }
  await carryOthers?.(old, others);
  for (const { average, value } of others.values()) average?.set(value);
}
