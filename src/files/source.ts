import { closeSync, readSync } from 'node:fs';
import { LowrankError } from '../errors.js';
import { openRegular, unreadable } from './regular.js';

/** Bytes at fixed offsets: a file that is read in pieces, or a buffer. */
export interface ByteSource {
  readonly size: number;
  /** Names the source in errors. */
  readonly label: string;
  /** A copy-on-demand view: the result must not be written to. Throws FORMAT past the end. */
  read(start: number, end: number): Uint8Array;
  /** Reads into `target` from `start` on, filling it. */
  readInto(target: Uint8Array, start: number): void;
  close(): void;
}

/** Bytes [start, end) of a source. */
export interface ByteRange {
  readonly source: ByteSource;
  readonly start: number;
  readonly end: number;
}

export function memorySource(bytes: Uint8Array, label = 'buffer'): ByteSource {
  // A Buffer makes protobufjs decode `bytes` fields as views, not copies.
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const check = (start: number, end: number): void => {
    if (start < 0 || end > buffer.length || start > end) throw pastEnd(label, start, end, buffer.length);
  };
  return {
    size: buffer.length,
    label,
    read: (start, end) => {
      check(start, end);
      return buffer.subarray(start, end);
    },
    readInto: (target, start) => {
      check(start, start + target.length);
      target.set(buffer.subarray(start, start + target.length));
    },
    close: () => undefined,
  };
}

/**
 * Bytes that are computed when they are asked for, such as numbers decoded from varints. `compute` gives all `size` of
 * them; they are held until the last one has been read, so that copying piece by piece computes them once.
 */
export function computedSource(label: string, size: number, compute: () => Uint8Array): ByteSource {
  let held: ByteSource | undefined;
  const access = <T>(end: number, action: (source: ByteSource) => T): T => {
    held ??= memorySource(compute(), label);
    const result = action(held);
    if (end >= size) held = undefined;
    return result;
  };
  return {
    size,
    label,
    read: (start, end) => access(end, (source) => source.read(start, end)),
    readInto: (target, start) => {
      access(start + target.length, (source) => {
        source.readInto(target, start);
      });
    },
    close: () => {
      held = undefined;
    },
  };
}

const windowSize = 1 << 16;
const largestRead = 1 << 30;

/**
 * Opens a regular file. Small reads are served from one cached window, so walking a file field by field costs few
 * system calls and no memory. Throws INPUT where the path is missing, a directory, or not a regular file.
 */
export function fileSource(path: string): ByteSource {
  const { fd, size } = openRegular(path);
  let windowStart = 0;
  let window: Buffer = Buffer.alloc(0);
  let closed = false;
  const readInto = (target: Uint8Array, start: number): void => {
    if (closed) throw new LowrankError('INTERNAL', 'read after close', { place: path });
    if (start < 0 || start + target.length > size) throw pastEnd(path, start, start + target.length, size);
    let done = 0;
    while (done < target.length) {
      let count: number;
      try {
        count = readSync(fd, target, done, Math.min(target.length - done, largestRead), start + done);
      } catch (error) {
        throw unreadable(path, error, 'file');
      }
      if (count === 0) throw shrunk(path, start + done, size);
      done += count;
    }
  };
  return {
    size,
    label: path,
    read: (start, end) => {
      if (start < 0 || end > size || start > end) throw pastEnd(path, start, end, size);
      if (start >= windowStart && end <= windowStart + window.length) {
        return window.subarray(start - windowStart, end - windowStart);
      }
      if (end - start > windowSize / 4) {
        const bytes = allocate(() => Buffer.allocUnsafeSlow(end - start), path);
        readInto(bytes, start);
        return bytes;
      }
      // A fresh buffer each time: views handed out earlier stay valid.
      const next = Buffer.allocUnsafeSlow(Math.min(windowSize, size - start));
      readInto(next, start);
      window = next;
      windowStart = start;
      return window.subarray(0, end - start);
    },
    readInto,
    close: () => {
      if (!closed) closeSync(fd);
      closed = true;
    },
  };
}

/** What `create` allocates; throws UNSUPPORTED where the machine cannot. */
export function allocate<T>(create: () => T, place: string): T {
  try {
    return create();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new LowrankError('UNSUPPORTED', 'more data in one piece than this machine can hold', { place, cause: error });
  }
}

function pastEnd(label: string, start: number, end: number, size: number): LowrankError {
  return new LowrankError('FORMAT', `bytes ${start} to ${end} wanted, but there are only ${size}`, {
    place: label,
    remedy: 'the file may be cut short: fetch it again',
  });
}

function shrunk(label: string, position: number, size: number): LowrankError {
  return new LowrankError('INPUT', `the file ends at byte ${position} but had ${size} bytes when it was opened`, {
    place: label,
    remedy: 'wait until it is written, then run again',
  });
}
