import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { LowrankError, messageOf } from '../errors.js';
import type { Chunk } from './wire.js';

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
 * Throws OUTPUT where `path` cannot become a file: it exists (unless `force`), is a directory, or its folder is missing.
 * Called before long work, so that hours are not lost to a typing error.
 */
export function checkWritable(path: string, force: boolean): void {
  const place = path;
  const folder = dirname(path);
  if (!existsSync(folder)) {
    throw new LowrankError('OUTPUT', 'the folder of the output does not exist', { place, remedy: `create ${folder}` });
  }
  if (!statSync(folder).isDirectory()) {
    throw new LowrankError('OUTPUT', `${folder} is not a folder`, { place });
  }
  if (existsSync(path)) {
    if (statSync(path).isDirectory()) {
      throw new LowrankError('OUTPUT', 'the output path is a folder', { place, remedy: 'give a file name' });
    }
    if (!force) {
      throw new LowrankError('OUTPUT', 'the output exists already', { place, remedy: 'pass --force to replace it' });
    }
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

/**
 * Writes chunks to a temporary file in the folder of `path` and flushes it to the disk. Ranges are copied piece by
 * piece, so memory stays small. Throws OUTPUT (disk full, not writable), leaving nothing behind.
 */
export function stageFile(path: string, chunks: Iterable<Chunk>): StagedFile {
  const temporary = temporaryName(path);
  let fd: number | undefined;
  let bytes = 0;
  try {
    fd = openSync(temporary, 'wx');
    bytes = writeChunks(fd, chunks);
    fsyncSync(fd);
    closeSync(fd);
    fd = undefined;
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    rmSync(temporary, { force: true });
    if (error instanceof LowrankError) throw error;
    throw unwritable(path, error);
  }
  let isStaged = true;
  return {
    path,
    temporaryPath: temporary,
    bytes,
    commit: () => {
      try {
        renameSync(temporary, path);
      } catch (error) {
        throw unwritable(path, error);
      }
      isStaged = false;
      syncFolder(dirname(path));
    },
    discard: () => {
      if (isStaged) rmSync(temporary, { force: true });
      isStaged = false;
    },
  };
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

function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`);
}

function writeChunks(fd: number, chunks: Iterable<Chunk>): number {
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
    if (chunk instanceof Uint8Array) put(chunk);
    else {
      for (let at = chunk.start; at < chunk.end; at += copySize) {
        put(chunk.source.read(at, Math.min(at + copySize, chunk.end)));
      }
    }
  }
  flush();
  return total;
}

function writeAll(fd: number, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) done += writeSync(fd, bytes, done, bytes.length - done);
}

function syncFolder(folder: string): void {
  try {
    const fd = openSync(folder, 'r');
    fsyncSync(fd);
    closeSync(fd);
  } catch {
    // Windows cannot open folders; the rename itself is still atomic there.
  }
}

function unwritable(path: string, error: unknown): LowrankError {
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
    default:
      return new LowrankError('OUTPUT', `cannot write: ${messageOf(error)}`, details);
  }
}
