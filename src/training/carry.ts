import { type LaidOut, type TrainedTensor, type TrainedTensors, tensorsOf } from '../step/laid-out.js';

/** Writes into tensors that the segment before has not; they begin as the model has them, with an optimizer of zeros. */
export type CarryOthers = (before: TrainedTensors, others: TrainedTensors) => void | Promise<void>;

/** How tensors come from one segment into the next. */
export interface Carrying {
  /** What becomes of tensors that the segment before has not, by name and shape; default: as the model has them. */
  readonly carryOthers?: CarryOthers;
  /** All tensors, and their averages, begin as the model has them, which was made of that of the segment before: what differs was meant. */
  readonly areValuesOfModel?: boolean;
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
