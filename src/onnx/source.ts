import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { LowrankError, messageOf } from '../errors.js';

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

const windowSize = 1 << 16;
const largestRead = 1 << 30;

/**
 * Opens a regular file. Small reads are served from one cached window, so walking a file field by field costs few
 * system calls and no memory. Throws INPUT where the path is missing, a directory, or not a regular file.
 */
export function fileSource(path: string): ByteSource {
  let fd: number;
  let size: number;
  try {
    // Checked before opening: opening a pipe would wait for its writer.
    const stat = statSync(path);
    if (stat.isDirectory()) {
      throw new LowrankError('INPUT', 'a directory was given where a file is needed', { place: path });
    }
    if (!stat.isFile()) throw new LowrankError('INPUT', 'not a regular file', { place: path });
    fd = openSync(path, 'r');
    size = fstatSync(fd).size;
  } catch (error) {
    if (error instanceof LowrankError) throw error;
    throw unreadable(path, error);
  }
  let windowStart = 0;
  let window: Buffer = Buffer.alloc(0);
  let closed = false;
  const readInto = (target: Uint8Array, start: number): void => {
    if (closed) throw new LowrankError('INTERNAL', 'read after close', { place: path });
    let done = 0;
    while (done < target.length) {
      let count: number;
      try {
        count = readSync(fd, target, done, Math.min(target.length - done, largestRead), start + done);
      } catch (error) {
        throw unreadable(path, error);
      }
      if (count === 0) throw pastEnd(path, start, start + target.length, start + done);
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
        const bytes = Buffer.allocUnsafeSlow(end - start);
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

function unreadable(path: string, error: unknown): LowrankError {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new LowrankError('INPUT', 'no such file', { place: path, remedy: 'check the path' });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new LowrankError('INPUT', 'file is not readable', { place: path, remedy: 'check its permissions' });
  }
  return new LowrankError('INPUT', `cannot read: ${messageOf(error)}`, { place: path, cause: error });
}

function pastEnd(label: string, start: number, end: number, size: number): LowrankError {
  return new LowrankError('FORMAT', `bytes ${start} to ${end} wanted, but there are only ${size}`, {
    place: label,
    remedy: 'the file may be cut short: fetch it again',
  });
}
