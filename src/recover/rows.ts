import { shuffledOrder } from '../data/order.js';
import type { RuntimeTensor } from '../runtime/types.js';
import type { LearningFeed } from './feed.js';

/** Of the memory, for what is kept of the pictures. */
export const memoryShare = 1 / 4;

/** A value of many pictures, in memory. */
export interface Rows {
  /** Of one picture. */
  readonly dims: readonly number[];
  /** One per picture. */
  readonly rows: readonly Float32Array[];
}

/** The rows `from` to `to` as one batch. */
export function batchOf({ dims, rows }: Rows, from: number, to: number): RuntimeTensor {
  const part = rows.slice(from, to);
  return { type: 'float32', dims: [part.length, ...dims], data: joined(part) };
}

/** The rows of a batch. */
export function rowsOf({ data, dims: [count, ...dims] }: RuntimeTensor): Rows {
  const size = data.length / count!;
  const rows = Array.from({ length: count! }, (_, i) => (data as Float32Array).slice(i * size, (i + 1) * size));
  return { dims, rows };
}

/** Pictures of a run without a gradient. */
const runSize = 16;

/** Where batches of so many rows begin and end. */
export function spansOf({ rows }: Rows): readonly (readonly [from: number, to: number])[] {
  return Array.from({ length: Math.ceil(rows.length / runSize) }, (_, i) => [i * runSize, (i + 1) * runSize]);
}

/** Runs batch after batch, and gives every output as rows. */
export async function runRows(
  inputs: Rows,
  run: (from: number, to: number) => Promise<readonly RuntimeTensor[]>,
): Promise<readonly Rows[]> {
  const parts: (readonly Rows[])[] = [];
  for (const [from, to] of spansOf(inputs)) parts.push((await run(from, to)).map(rowsOf));
  return parts[0]!.map(({ dims }, output) => ({ dims, rows: parts.flatMap((part) => part[output]!.rows) }));
}

/** Batches of rows in an order of their own in every epoch, and what is to be made of them, by input name. */
export function feedOfRows(
  inputs: Rows,
  taught: Readonly<Record<string, Rows>>,
  { batchSize, seed }: { readonly batchSize: number; readonly seed: number },
): LearningFeed {
  const { length } = inputs.rows;
  const perEpoch = Math.floor(length / batchSize);
  return {
    async *batches(first) {
      for (let batch = first; ; batch++) {
        const order = shuffledOrder({ length, seed, epoch: Math.floor(batch / perEpoch) });
        const start = (batch % perEpoch) * batchSize;
        const drawn = [...order.subarray(start, start + batchSize)];
        const of = ({ rows }: Rows): Float32Array => joined(drawn.map((index) => rows[index]!));
        yield await Promise.resolve({
          images: of(inputs),
          taught: Object.fromEntries(Object.entries(taught).map(([name, rows]) => [name, of(rows)])),
        });
      }
    },
  };
}

/** One behind the other. */
export function joined(rows: readonly Float32Array[]): Float32Array {
  const size = rows[0]?.length ?? 0;
  const whole = new Float32Array(rows.length * size);
  rows.forEach((row, i) => whole.set(row, i * size));
  return whole;
}
