import { closeSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { LowrankError } from '../errors.js';
import { openRegular, unreadable } from '../files/regular.js';
import type { Extent } from './types.js';

/** Paths with a name for people each: the file's own, or where two have the same the path from the folder that holds all. */
export function shortNames(paths: readonly string[]): ReadonlyMap<string, string> {
  const names = paths.map((path) => basename(path));
  if (new Set(names).size === names.length) return new Map(paths.map((path, index) => [path, names[index]!]));
  const parts = paths.map((path) => path.split(/[\\/]/));
  let shared = 0;
  while (parts.every((part) => shared < part.length - 1 && part[shared] === parts[0]![shared])) shared += 1;
  return new Map(paths.map((path, index) => [path, parts[index]!.slice(shared).join('/')]));
}

/** A file that is read in pieces. */
export interface OpenFile {
  readonly path: string;
  readonly size: number;
  /** The bytes [offset, offset + length), fewer at the end of the file; valid until the next call. */
  peek(offset: number, length: number): Uint8Array;
  /** The same bytes, to keep. Throws FORMAT where the file ends before. */
  read(offset: number, length: number): Uint8Array;
  close(): void;
}

/** Headers of tars lie behind one another where files are small: one read serves several. */
const windowSize = 8192;

/** Opens a regular file. Throws INPUT. */
export function openFile(path: string): OpenFile {
  const { fd, size } = openRegular(path);
  const window = Buffer.alloc(windowSize);
  let windowStart = 0;
  let windowEnd = 0;
  const fill = (target: Uint8Array, offset: number): number => {
    let done = 0;
    try {
      while (done < target.length) {
        const count = readSync(fd, target, done, target.length - done, offset + done);
        if (count === 0) break;
        done += count;
      }
    } catch (error) {
      throw unreadable(path, error, 'file');
    }
    return done;
  };
  return {
    path,
    size,
    peek(offset, length) {
      if (length > windowSize) {
        const bytes = Buffer.alloc(Math.min(length, Math.max(0, size - offset)));
        return bytes.subarray(0, fill(bytes, offset));
      }
      if (offset < windowStart || offset + length > windowEnd) {
        windowStart = offset;
        windowEnd = offset + fill(window, offset);
      }
      const start = offset - windowStart;
      return window.subarray(start, Math.min(start + length, windowEnd - windowStart));
    },
    read(offset, length) {
      const bytes = Buffer.allocUnsafeSlow(length);
      const done = fill(bytes, offset);
      if (done < length) {
        throw new LowrankError('FORMAT', `the file ends at byte ${offset + done}; ${length - done} more are expected`, {
          place: path,
        });
      }
      return bytes;
    },
    close() {
      closeSync(fd);
    },
  };
}

/** Reads extents, keeping the files open that it read parts of. */
export interface ExtentReader {
  read(extent: Extent): Uint8Array;
  close(): void;
}

const mostOpen = 32;

/** A reader for one thread. `read` throws INPUT where the file has gone, FORMAT where it has become shorter. */
export function createExtentReader(): ExtentReader {
  const open = new Map<string, OpenFile>();
  const openPart = (path: string): OpenFile => {
    const known = open.get(path);
    if (known !== undefined) {
      // The map is kept in the order of use.
      open.delete(path);
      open.set(path, known);
      return known;
    }
    const [oldest] = open.keys();
    if (oldest !== undefined && open.size >= mostOpen) {
      open.get(oldest)?.close();
      open.delete(oldest);
    }
    const file = openFile(path);
    open.set(path, file);
    return file;
  };
  return {
    read({ path, offset, length }) {
      if (length !== undefined) return openPart(path).read(offset, length);
      const file = openFile(path);
      try {
        return file.read(offset, file.size - offset);
      } finally {
        file.close();
      }
    },
    close() {
      for (const file of open.values()) file.close();
      open.clear();
    },
  };
}
