import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { LowrankError, messageOf } from '../errors.js';
import { removeAtExit, removeStale, temporaryName } from './temporary.js';
import { drain, type Pieces } from './pieces.js';
import type { Chunk } from './chunk.js';

const copySize = 1 << 22;

/** A file that has been written completely beside its place, and is not yet there. */
export interface StagedFile {
  readonly path: string;
  /** Where it lies until then, in the same folder. */
  readonly temporaryPath: string;
  readonly bytes: number;
  /** Moves it to its place, replacing what is there. */
  commit(): void;
  /** Removes it. After `commit` it does nothing. */
  discard(): void;
}

/**
 * Throws OUTPUT where `path` cannot become a file: it exists (unless `force`), is a directory or a device, or its folder
 * is missing or not writable. Called before long work, so that hours are not lost to a typing error.
 */
export function checkWritable(path: string, force: boolean): void {
  const place = path;
  const folder = dirname(path);
  if (/[\\/]$/.test(path)) {
    throw new LowrankError('OUTPUT', 'the output path is a folder', { place, remedy: 'give a file name' });
  }
  if (!existsSync(folder)) {
    throw new LowrankError('OUTPUT', 'the folder of the output does not exist', { place, remedy: `create ${folder}` });
  }
  if (!statSync(folder).isDirectory()) {
    throw new LowrankError('OUTPUT', `${folder} is not a folder`, { place, remedy: 'choose another with -o' });
  }
  if (isThere(path)) {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat?.isDirectory() === true) {
      throw new LowrankError('OUTPUT', 'the output path is a folder', { place, remedy: 'give a file name' });
    }
    // A rename would put a file in the place of a device such as /dev/null.
    if (stat !== undefined && !stat.isFile()) {
      throw new LowrankError('OUTPUT', 'the output path is not a regular file', { place, remedy: 'give a file name' });
    }
    if (!force) throw existing(path);
  }
  // The only way to know that a folder can be written to is to write to it.
  const probe = temporaryName(path);
  try {
    closeSync(openSync(probe, 'wx'));
    rmSync(probe);
  } catch (error) {
    throw unwritable(path, error);
  }
}

export interface StageOptions {
  /** Whether `commit` replaces a file that is there (the default) or refuses to. */
  readonly replace?: boolean;
}

/**
 * Writes chunks to a temporary file in the folder of `path` and flushes it to the disk. Ranges are copied piece by
 * piece, so memory stays small. Temporary files for the same path that killed processes left are removed.
 * Throws OUTPUT (disk full, not writable), leaving nothing behind.
 */
export function stageFile(path: string, chunks: Iterable<Chunk>, options: StageOptions = {}): StagedFile {
  return drain(stageInPieces(path, chunks, options));
}

/** `stageFile` in pieces; it yields the bytes written so far. */
function* stageInPieces(path: string, chunks: Iterable<Chunk>, options: StageOptions = {}): Pieces<StagedFile> {
  removeStale(path);
  const temporary = temporaryName(path);
  const keep = removeAtExit(temporary);
  let bytes: number;
  try {
    bytes = yield* createInPieces(temporary, chunks);
  } catch (error) {
    rmSync(temporary, { force: true });
    keep();
    throw unwritable(path, error);
  }
  let isStaged = true;
  return {
    path,
    temporaryPath: temporary,
    bytes,
    commit: () => {
      try {
        if (options.replace ?? true) renameSync(temporary, path);
        else moveToFreeName(temporary, path);
      } catch (error) {
        throw unwritable(path, error);
      }
      isStaged = false;
      keep();
      syncFolder(dirname(path));
    },
    discard: () => {
      if (isStaged) rmSync(temporary, { force: true });
      isStaged = false;
      keep();
    },
  };
}

/** Creates a file, which must not be there, and flushes it to the disk; yields the bytes written so far, gives all. */
export function* createInPieces(path: string, chunks: Iterable<Chunk>): Pieces<number> {
  const fd = openSync(path, 'wx');
  try {
    const bytes = yield* writeChunks(fd, chunks);
    fsyncSync(fd);
    return bytes;
  } finally {
    closeSync(fd);
  }
}

/** Writes a whole file or none of it: staged, flushed, renamed. Throws OUTPUT. */
export function writeFileWhole(path: string, content: Uint8Array | string): void {
  const staged = stageFile(path, [typeof content === 'string' ? Buffer.from(content, 'utf8') : content]);
  try {
    staged.commit();
  } finally {
    staged.discard();
  }
}

/** Whether a name is taken, be it by a link that leads nowhere. Throws OUTPUT where no file can have it. */
export function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    throw unwritable(path, error);
  }
}

/** A rename that never replaces: a hard link fails where the name is taken. */
export function moveToFreeName(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error;
    // Some file systems have no links; a look before the rename is what is left.
    if (isThere(to)) throw Object.assign(new Error('it exists'), { code: 'EEXIST' });
    renameSync(from, to);
    return;
  }
  rmSync(from);
}

function* writeChunks(fd: number, chunks: Iterable<Chunk>): Pieces<number> {
  // Small pieces are gathered: a model has thousands of them, and a system call each would dominate.
  const gathered = Buffer.allocUnsafeSlow(1 << 20);
  let filled = 0;
  let total = 0;
  const flush = (): void => {
    writeAll(fd, gathered.subarray(0, filled));
    filled = 0;
  };
  const put = (bytes: Uint8Array): void => {
    total += bytes.length;
    if (bytes.length > gathered.length - filled) flush();
    if (bytes.length > gathered.length) writeAll(fd, bytes);
    else {
      gathered.set(bytes, filled);
      filled += bytes.length;
    }
  };
  for (const chunk of chunks) {
    if (chunk instanceof Uint8Array) {
      put(chunk);
      if (chunk.length >= copySize) yield total;
    } else {
      for (let at = chunk.start; at < chunk.end; at += copySize) {
        put(chunk.source.read(at, Math.min(at + copySize, chunk.end)));
        yield total;
      }
    }
  }
  flush();
  return total;
}

function writeAll(fd: number, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) {
    const count = writeSync(fd, bytes, done, bytes.length - done);
    if (count === 0) throw Object.assign(new Error('nothing more can be written'), { code: 'ENOSPC' });
    done += count;
  }
}

export function syncFolder(folder: string): void {
  try {
    const fd = openSync(folder, 'r');
    fsyncSync(fd);
    closeSync(fd);
  } catch {
    // Windows cannot open folders; the rename itself is still atomic there.
  }
}

/** What went wrong in writing `path`, as OUTPUT with its remedy. */
export function unwritable(path: string, error: unknown): LowrankError {
  if (error instanceof LowrankError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  const details = { place: path, cause: error };
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new LowrankError('OUTPUT', 'no space left to write the file', {
        ...details,
        remedy: 'free some space or choose another folder; nothing was left behind',
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new LowrankError('OUTPUT', 'the folder is not writable', { ...details, remedy: 'choose another with -o' });
    case 'EISDIR':
      return new LowrankError('OUTPUT', 'the output path is a folder', { ...details, remedy: 'give a file name' });
    case 'EEXIST':
      return existing(path);
    case 'ENAMETOOLONG':
      return new LowrankError('OUTPUT', 'the name of the output is too long', { ...details, remedy: 'shorten it' });
    default:
      return new LowrankError('OUTPUT', `cannot write: ${messageOf(error)}`, details);
  }
}

export function existing(path: string): LowrankError {
  return new LowrankError('OUTPUT', 'the output exists already', { place: path, remedy: 'pass --force to replace it' });
}
