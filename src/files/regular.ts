import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import { LowrankError, messageOf } from '../errors.js';

/** A regular file that is open for reading; whoever opened it closes it. */
export interface RegularFile {
  readonly fd: number;
  readonly size: number;
}

/**
 * Opens what is a regular file before and after opening: a pipe would wait for its writer, a device may have no end. Every
 * file that this program reads is opened here. Throws INPUT.
 */
export function openRegular(path: string): RegularFile {
  let fd: number | undefined;
  try {
    refuseOthers(path, statSync(path));
    fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stat = fstatSync(fd);
    refuseOthers(path, stat);
    return { fd, size: stat.size };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw unreadable(path, error, 'file');
  }
}

function refuseOthers(path: string, stat: Stats): void {
  if (stat.isDirectory()) {
    throw new LowrankError('INPUT', 'a directory was given where a file is needed', {
      place: path,
      remedy: 'give the path of the file in it',
    });
  }
  if (!stat.isFile()) {
    throw new LowrankError('INPUT', 'not a regular file', { place: path, remedy: 'copy it to one' });
  }
}

/** More than a file of settings, labels or progress has. */
const usualMost = 2 ** 28;

/** A whole regular file. Throws INPUT, also where it has more than `most` bytes (default: 256 MiB). */
export function readRegular(path: string, most = usualMost): Buffer {
  const { fd, size } = openRegular(path);
  try {
    // One byte more than expected: files of /proc have no size, others may grow.
    let bytes = Buffer.allocUnsafeSlow(Math.min(size, most) + 1);
    let done = 0;
    for (;;) {
      const count = readSync(fd, bytes, done, bytes.length - done, done);
      if (count === 0) return bytes.subarray(0, done);
      done += count;
      if (done > most) {
        throw new LowrankError('INPUT', `the file has more than ${most} bytes`, {
          place: path,
          remedy: 'check that it is the right one',
        });
      }
      if (done === bytes.length) bytes = Buffer.concat([bytes], Math.min(2 * done, most) + 1);
    }
  } catch (error) {
    throw unreadable(path, error, 'file');
  } finally {
    closeSync(fd);
  }
}

/** The text of a regular file, without a byte order mark. Throws INPUT. */
export function readRegularText(path: string, most?: number): string {
  return readRegular(path, most)
    .toString('utf8')
    .replace(/^\uFEFF/, '');
}

/** An INPUT error for what cannot be read, in words; `wanted` says what is looked for. */
export function unreadable(path: string, error: unknown, wanted: 'file' | 'file or folder'): LowrankError {
  if (error instanceof LowrankError) return error;
  const { code } = error as NodeJS.ErrnoException;
  const details = { place: path, cause: error };
  const isFile = wanted === 'file';
  switch (code) {
    case 'ENOENT':
      return new LowrankError('INPUT', isFile ? 'no such file' : 'there is no such file or folder', {
        ...details,
        remedy: 'check the path',
      });
    case 'ENOTDIR':
      return isFile
        ? new LowrankError('INPUT', 'no such file', { ...details, remedy: 'check the path' })
        : new LowrankError('INPUT', 'a part of the path is no folder', details);
    case 'EACCES':
    case 'EPERM':
      return new LowrankError('INPUT', 'permission to read is denied', { ...details, remedy: 'check its permissions' });
    case 'EISDIR':
      return new LowrankError('INPUT', 'a file is expected, and this is a folder', details);
    case 'ELOOP':
      return new LowrankError('INPUT', 'its symbolic links lead in a circle', details);
    case 'EMFILE':
    case 'ENFILE':
      return new LowrankError('INPUT', 'too many files are open', {
        ...details,
        remedy: 'raise the limit (ulimit -n)',
      });
    default:
      return new LowrankError('INPUT', `cannot read: ${messageOf(error)}`, details);
  }
}

/** The same error, with what it means for whoever reads the file. */
export function unusable(error: unknown, fact: string, remedy?: string): unknown {
  if (!(error instanceof LowrankError)) return error;
  const advice = remedy ?? error.remedy;
  return new LowrankError(error.code, `${fact}: ${error.fact}`, {
    ...(error.place === undefined ? {} : { place: error.place }),
    ...(advice === undefined ? {} : { remedy: advice }),
    cause: error,
  });
}
