import { LowrankError } from '../errors.js';
import type { ByteRange } from '../files/source.js';

/** UTF-8 text; bytes that are not UTF-8 become U+FFFD. */
export function textOf({ source, start, end }: ByteRange): string {
  return asBuffer(source.read(start, end)).toString('utf8');
}

/**
 * The name of a value, which must survive being written again. Throws FORMAT where it is not UTF-8, as protobuf demands:
 * two names could become one.
 */
export function nameOf(range: ByteRange): string {
  const name = textOf(range);
  if (!name.includes('\u{FFFD}')) return name;
  const bytes = range.source.read(range.start, range.end);
  if (Buffer.from(name, 'utf8').equals(bytes)) return name;
  throw new LowrankError('FORMAT', `the name '${shown(name)}' is not UTF-8`, {
    place: `${range.source.label} at byte ${range.start}`,
    remedy: 'rename the tensor and export again',
  });
}

/** A name as messages show it: cut where it is too long to be read. */
export function shown(name: string): string {
  return name.length > longestShown ? `${name.slice(0, longestShown)}…` : name;
}

const longestShown = 200;

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
