import { int } from '../../graph/attributes.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import type { Table } from './window.js';

/** x [C, positions, N] → [C, taps · positions, N]: every tap's view of x, zeros where it reads padding. */
export function gatherTaps(e: Emitter, x: Value, table: Table): Value {
  const [channels, , batch] = e.dims(x) as [number, number, number];
  const padded = table.hasPadding
    ? e.concat([x, e.floats(new Float32Array(channels * batch), [channels, 1, batch])], 1)
    : x;
  const at = BigInt64Array.from(table.at, (place) => BigInt(place < 0 ? table.from : place));
  return e.emit('Gather', [padded, e.ints(at)], { axis: int(1) });
}

/**
 * y [C · taps (+ 1), from, N], rows (channel, tap) and, where the table has padding, a row of zeros → [C, to, N]: the sum
 * over the taps of what each reads.
 */
export function gatherSum(e: Emitter, y: Value, channels: number, table: Table): Value {
  const batch = e.dims(y)[2]!;
  const { taps, from, to } = table;
  if (taps === 1 && !table.hasPadding) {
    return e.emit('Gather', [y, e.ints(BigInt64Array.from(table.at, BigInt))], { axis: int(1) });
  }
  const zeros = channels * taps * from;
  const at = new BigInt64Array(channels * taps * to);
  for (let row = 0; row < channels * taps; row++) {
    const tap = row % taps;
    for (let p = 0; p < to; p++) {
      const place = table.at[tap * to + p]!;
      at[row * to + p] = BigInt(place < 0 ? zeros : row * from + place);
    }
  }
  const rows = e.reshape(y, [e.dims(y)[0]! * from, batch]);
  const gathered = e.emit('Gather', [rows, e.ints(at, [channels, taps, to])], { axis: int(0) });
  return taps === 1 ? e.reshape(gathered, [channels, to, batch]) : e.reduceSum(gathered, [1], false);
}
