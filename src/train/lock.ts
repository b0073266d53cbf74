import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { LowrankError, messageOf } from '../errors.js';

/** Keeps a second process from writing to the same output. */
export interface Lock {
  release(): void;
}

/**
 * Creates `path` with this process's number. A lock whose process of this machine has ended is taken over.
 * Throws OUTPUT where another process holds it or the file cannot be created.
 */
export function takeLock(path: string): Lock {
  const content = JSON.stringify({ process: process.pid, host: hostname() });
  for (let attempt = 0; ; attempt++) {
    try {
      const fd = openSync(path, 'wx');
      writeSync(fd, content);
      closeSync(fd);
      return { release: () => rmSync(path, { force: true }) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
        throw new LowrankError('OUTPUT', messageOf(error), {
          place: path,
          remedy: 'choose another output',
          cause: error,
        });
      }
    }
    const holder = holderOf(path);
    if (attempt > 0 || holder === undefined || !isStale(holder)) {
      const who = holder === undefined ? 'another process' : `process ${holder.process} on ${holder.host}`;
      throw new LowrankError('OUTPUT', `${who} is training into this output`, {
        place: path,
        remedy: 'wait for it, choose another -o, or remove the file if that process is gone',
      });
    }
    rmSync(path, { force: true });
  }
}

interface Holder {
  readonly process: number;
  readonly host: string;
}

function holderOf(path: string): Holder | undefined {
  try {
    const holder = JSON.parse(readFileSync(path, 'utf8')) as Partial<Holder>;
    return typeof holder.process === 'number' && typeof holder.host === 'string' ? (holder as Holder) : undefined;
  } catch {
    return undefined;
  }
}

function isStale(holder: Holder): boolean {
  if (holder.host !== hostname()) return false;
  if (holder.process === process.pid) return false;
  try {
    process.kill(holder.process, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
