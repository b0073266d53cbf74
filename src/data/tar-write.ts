import { createHash } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { LowrankError, messageOf } from '../errors.js';
import { removeAtExit, temporaryName } from '../files/temporary.js';

/** A tar that appears whole or not at all. */
export interface TarWriter {
  /** `name` is at most 100 ASCII characters. */
  add(name: string, data: Uint8Array): Promise<void>;
  /** Writes the end mark, flushes to the disk, and moves the file to its place. */
  commit(): Promise<{ readonly bytes: number; readonly sha256: string }>;
  /** Removes what was written; nothing after `commit`. */
  discard(): Promise<void>;
}

const blockSize = 512;
const bufferBytes = 2 ** 20;

/** Creates a tar (POSIX ustar) of which every byte depends on the members alone: no times, no owners. Throws OUTPUT. */
export async function createTar(path: string): Promise<TarWriter> {
  const temporary = temporaryName(path);
  const keep = removeAtExit(temporary);
  const file = await attempt(path, () => open(temporary, 'wx'));
  const hash = createHash('sha256');
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  let total = 0;
  let isOpen = true;
  const flush = async (): Promise<void> => {
    const bytes = Buffer.concat(held);
    held = [];
    heldBytes = 0;
    hash.update(bytes);
    await attempt(path, () => file.writeFile(bytes));
  };
  const put = async (bytes: Uint8Array): Promise<void> => {
    held.push(bytes);
    heldBytes += bytes.length;
    total += bytes.length;
    if (heldBytes >= bufferBytes) await flush();
  };
  const close = async (): Promise<void> => {
    if (isOpen) await file.close();
    isOpen = false;
  };
  return {
    async add(name, data) {
      await put(headerOf(name, data.length));
      await put(data);
      const rest = data.length % blockSize;
      if (rest > 0) await put(new Uint8Array(blockSize - rest));
    },
    async commit() {
      await put(new Uint8Array(2 * blockSize));
      await flush();
      await attempt(path, () => file.sync());
      await close();
      await attempt(path, () => rename(temporary, path));
      keep();
      return { bytes: total, sha256: hash.digest('hex') };
    },
    async discard() {
      await close();
      await rm(temporary, { force: true });
      keep();
    },
  };
}

/** A small file, whole or not at all. Throws OUTPUT. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = temporaryName(path);
  const keep = removeAtExit(temporary);
  try {
    await attempt(path, async () => {
      const file = await open(temporary, 'wx');
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
    });
  } finally {
    await rm(temporary, { force: true });
    keep();
  }
}

function headerOf(name: string, size: number): Uint8Array {
  if (!/^[\x21-\x7e]{1,100}$/.test(name)) throw new LowrankError('INTERNAL', `'${name}' is no name for a tar member`);
  const header = Buffer.alloc(blockSize);
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')}\0`;
  header.write(name, 0, 'latin1');
  header.write(octal(0o644, 7), 100, 'latin1');
  header.write(octal(0, 7), 108, 'latin1');
  header.write(octal(0, 7), 116, 'latin1');
  header.write(octal(size, 11), 124, 'latin1');
  header.write(octal(0, 11), 136, 'latin1');
  header.write('        0', 148, 'latin1');
  header.write('ustar\u000000', 257, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

/** Runs a step of writing `path`; its error becomes OUTPUT. */
export async function attempt<Result>(path: string, action: () => Promise<Result>): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const isFull = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
    const isForbidden = code === 'EACCES' || code === 'EPERM' || code === 'EROFS';
    const fact = isFull
      ? 'no space is left'
      : isForbidden
        ? 'the folder is not writable'
        : `cannot write: ${messageOf(error)}`;
    throw new LowrankError('OUTPUT', fact, {
      place: path,
      ...(isFull ? { remedy: 'free some space and run it again' } : {}),
      ...(isForbidden ? { remedy: 'choose another folder with -o' } : {}),
      cause: error,
    });
  }
}
