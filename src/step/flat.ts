import type { Slot } from '../contracts/artifacts.js';
import { int } from '../graph/attributes.js';
import type { Value } from '../graph/value.js';
import type { Emitter } from '../ops/emitter.js';
import { sizeOf } from '../ops/support/layout.js';

export type { Slot };

/** A tensor by its name and shape. */
export interface Shaped {
  readonly name: string;
  readonly shape: readonly number[];
}

export function isShaped(value: unknown): value is Shaped {
  if (typeof value !== 'object' || value === null) return false;
  const { name, shape } = value as Readonly<Record<string, unknown>>;
  return (
    typeof name === 'string' && Array.isArray(shape) && shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0)
  );
}

/** Places tensors one behind the other. */
export function layOut<T extends Shaped>(tensors: readonly T[]): (T & Slot)[] {
  let offset = 0;
  return tensors.map((tensor) => {
    const size = sizeOf(tensor.shape);
    const slot = { ...tensor, offset, size };
    offset += size;
    return slot;
  });
}

/** Elements of a flat vector. */
export function lengthOf(slots: readonly Slot[]): number {
  return slots.reduce((sum, { size }) => sum + size, 0);
}

/** The tensors of a flat vector, each in its shape. */
export function unflatten(e: Emitter, flat: Value, slots: readonly Slot[]): Value[] {
  if (slots.length === 0) return [];
  const parts = e.split(
    flat,
    slots.map(({ size }) => size),
  );
  return parts.map((part, i) => e.reshape(part, slots[i]!.shape));
}

/** Tensors one behind the other as one vector. */
export function flatten(e: Emitter, tensors: readonly Value[], name: string): Value {
  const flat = tensors.map((tensor) => e.reshape(tensor, [-1]));
  return e.emit('Concat', flat, { axis: int(0) }, { name });
}
