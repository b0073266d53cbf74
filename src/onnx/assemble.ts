import type { Chunk } from '../files/chunk.js';

/** A field of a message in its place. */
export interface Slot {
  readonly number: number;
  readonly wireType: number;
  /** The field with its tag. */
  readonly whole: Chunk;
}

/** A field of the new message: an original one, or new bytes with their tag. */
export type Item = { readonly slot: Slot } | { readonly chunks: readonly Chunk[] };

/** The new fields of one number. Fields of another wire type are unknown ones and stay. */
export interface Replacement {
  readonly wireType: 0 | 2;
  readonly items: readonly Item[];
}

/**
 * A message with fields exchanged: those of a replaced number become its list, in the list's order. Original fields stay
 * where they were, new ones stand before the original that they precede in the list, or behind the last. All other fields
 * stay as and where they were.
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
  const positions = new Map<Slot, number>();
  for (const { items } of replaced.values()) {
    items.forEach((item, index) => {
      if ('slot' in item) positions.set(item.slot, index);
    });
  }
  const taken = new Map<Replacement, number>();
  const isNew = (item: Item | undefined): boolean => item !== undefined && 'chunks' in item;
  const takeUntil = (replacement: Replacement, stop: number): void => {
    let next = taken.get(replacement) ?? 0;
    for (; next < stop; next++) {
      const item = replacement.items[next]!;
      if ('slot' in item) chunks.push(item.slot.whole);
      else for (const chunk of item.chunks) chunks.push(chunk);
    }
    taken.set(replacement, next);
  };
  for (const slot of slots) {
    const replacement = replacementOf(slot);
    if (replacement === undefined) {
      chunks.push(slot.whole);
      continue;
    }
    const { items } = replacement;
    const position = positions.get(slot);
    let stop = position === undefined ? (taken.get(replacement) ?? 0) : position + 1;
    // The place of a field that is gone goes to those that came for it.
    if (position === undefined) while (isNew(items[stop])) stop++;
    takeUntil(replacement, last.get(replacement) === slot ? items.length : stop);
  }
  // Lists without an original place: protobuf readers take fields in any order, so the end will do.
  for (const [, replacement] of [...replaced].sort(([a], [b]) => a - b)) {
    takeUntil(replacement, replacement.items.length);
  }
  return joined(chunks);
}

/** Ranges that lie one behind the other become one. */
function joined(chunks: readonly Chunk[]): Chunk[] {
  const result: Chunk[] = [];
  for (const chunk of chunks) {
    const before = result.at(-1);
    const isContinued =
      before !== undefined &&
      !(before instanceof Uint8Array) &&
      !(chunk instanceof Uint8Array) &&
      before.source === chunk.source &&
      before.end === chunk.start;
    if (isContinued) result[result.length - 1] = { source: chunk.source, start: before.start, end: chunk.end };
    else result.push(chunk);
  }
  return result;
}
