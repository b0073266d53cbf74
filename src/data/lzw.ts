import { LowrankError } from '../errors.js';

const longestCode = 12;

/**
 * Expands the LZW codes of a GIF (GIF89a specification, appendix F) to `count` values of `bits` bits. What follows the last
 * of them is not looked at. Throws FORMAT where values are missing, or a code stands for nothing.
 */
export function expandLzw(codes: Uint8Array, bits: number, count: number): Uint8Array {
  const values = new Uint8Array(count);
  const [clear, end] = [1 << bits, (1 << bits) + 1];
  // A string of values is the string of its prefix and one more.
  const prefix = new Uint16Array(1 << longestCode);
  const last = Uint8Array.from(prefix, (_, code) => code);
  const reversed = new Uint8Array(1 << longestCode);
  let [width, free, previous, first] = [bits + 1, end + 1, -1, 0];
  let [buffer, held, at, done] = [0, 0, 0, 0];
  while (done < count) {
    while (held < width) {
      if (at === codes.length) throw missing(count - done, count);
      buffer |= codes[at++]! << held;
      held += 8;
    }
    const code = buffer & ((1 << width) - 1);
    buffer >>>= width;
    held -= width;
    if (code === end) throw missing(count - done, count);
    if (code === clear) {
      [width, free, previous] = [bits + 1, end + 1, -1];
      continue;
    }
    if (code > free || (code === free && previous < 0) || (previous < 0 && code > end)) {
      throw new LowrankError('FORMAT', `pixel ${done} of the GIF has code ${code}, which stands for nothing`);
    }
    let length = 0;
    let rest = code;
    // A code that is about to be made: the string before it, and that one's first value again.
    if (code === free) {
      reversed[length++] = first;
      rest = previous;
    }
    for (; rest > end; rest = prefix[rest]!) reversed[length++] = last[rest]!;
    first = rest;
    values[done++] = first;
    while (length > 0 && done < count) values[done++] = reversed[--length]!;
    if (previous >= 0 && free < 1 << longestCode) {
      prefix[free] = previous;
      last[free] = first;
      free += 1;
      if (free === 1 << width && width < longestCode) width += 1;
    }
    previous = code;
  }
  return values;
}

function missing(count: number, of: number): LowrankError {
  return new LowrankError('FORMAT', `the GIF ends before its pixels: ${count} of ${of} are missing`);
}
