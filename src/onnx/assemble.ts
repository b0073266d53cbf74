import type { Chunk } from './wire.js';

/** A field of a message in its place. */
export interface Slot {
  readonly number: number;
  readonly wireType: number;
  /** What stands there if its number is not replaced. */
  readonly whole: Chunk;
}

/** The new fields of one number, each with its tag. Fields of another wire type are unknown ones and stay. */
export interface Replacement {
  readonly wireType: 0 | 2;
  readonly items: readonly (readonly Chunk[])[];
}

/**
 * A message with fields exchanged: those of a replaced number are taken from its list one for one, and what is left of
 * the list follows its last original place. All others stay as and where they were.
 */
export function assemble(slots: readonly Slot[], replaced: ReadonlyMap<number, Replacement>): Chunk[] {
  const chunks: Chunk[] = [];
  const replacementOf = ({ number, wireType }: Slot): Replacement | undefined => {
    const replacement = replaced.get(number);
    return replacement?.wireType === wireType ? replacement : undefined;
  };
  const last = new Map<Replacement, Slot>();
  for (const slot of slots) {
    const replacement = replacementOf(slot);
    if (replacement !== undefined) last.set(replacement, slot);
  }
  const taken = new Map<Replacement, number>();
  const take = (replacement: Replacement, stop: number): void => {
    const from = taken.get(replacement) ?? 0;
    for (let i = from; i < stop; i++) for (const chunk of replacement.items[i]!) chunks.push(chunk);
    taken.set(replacement, Math.max(from, stop));
  };
  for (const slot of slots) {
    const replacement = replacementOf(slot);
    if (replacement === undefined) {
      chunks.push(slot.whole);
      continue;
    }
    const { length } = replacement.items;
    const isLast = last.get(replacement) === slot;
    take(replacement, isLast ? length : Math.min((taken.get(replacement) ?? 0) + 1, length));
  }
  // Lists without an original place: protobuf readers take fields in any order, so the end will do.
  for (const [, replacement] of [...replaced].sort(([a], [b]) => a - b)) take(replacement, replacement.items.length);
  return chunks;
}
