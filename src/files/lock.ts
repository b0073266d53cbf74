import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { LowrankError, messageOf } from '../errors.js';
import { ownProcessSpace, ownStartMark, presenceOf, shortHash, startTimeOf } from './process.js';
import { readRegularText } from './regular.js';
import { removeLeaving, removeStale, temporaryName } from './temporary.js';

/** Keeps a second process from writing to the same place. */
export interface Lock {
  release(): void;
}

export interface LockOptions {
  /** What the holder does, for whoever finds it locked. Default: "is training into this output". */
  readonly busy?: string;
}

/** The holder writes into its lock as often (milliseconds), */
const heartbeat = 15_000;
/** and a holder of which nothing else is known has ended where it has not for as long. */
const patience = 300_000;
/** A lock is written at once: one that is empty or torn for as long was left by a machine that broke down. */
const tornPatience = 2000;

/** Each failed attempt means that another process has succeeded: so many do not. */
const mostAttempts = 1000;

/** What a lock file holds. Files of older versions have no `start` and no `token`. */
interface Holder {
  readonly process: number;
  readonly host: string;
  readonly start?: string;
  /** Where `process` means something on that host. */
  readonly space?: string;
  /** Sixteen hexadecimal digits that no other lock has. */
  readonly token?: string;
}

/** A lock file that was looked at. */
interface Found {
  readonly token: string;
  /** undefined where the file is empty, torn or something else. */
  readonly holder: Holder | undefined;
  readonly modified: number;
}

const releases = new Set<() => void>();

/**
 * Takes the lock at `path`, a file that says who holds it. It is taken over where its holder has ended: a process of this
 * machine that is gone or whose number another process has, or one elsewhere that has not written into it for five minutes.
 * Of many that try at once, one gets it. Released where the process ends, but for SIGKILL.
 * Throws OUTPUT where it is held, or cannot be written.
 *
 * A lock without a living holder is succeeded, never removed: who succeeds the lock with token T creates `<path>.T`, which
 * only one can, and then puts its own lock into the place of the old one. Where it dies between the two, `<path>.T` is in
 * its turn a lock without a living holder. Who finds itself no successor of what lies at `path` has come too late.
 */
export function takeLock(path: string, options: LockOptions = {}): Lock {
  const { busy = 'is training into this output' } = options;
  const own: Required<Holder> = {
    process: process.pid,
    host: hostname(),
    start: ownStartMark,
    space: ownProcessSpace,
    token: randomBytes(8).toString('hex'),
  };
  const candidate = temporaryName(path);
  let fd: number | undefined;
  try {
    fd = openSync(candidate, 'wx');
    writeSync(fd, JSON.stringify(own));
    acquire(path, candidate, fd, own.token, busy);
    tidy(path, own.token);
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw error instanceof LowrankError ? error : unusable(path, error);
  } finally {
    rmSync(candidate, { force: true });
  }
  return hold(path, fd, own.token);
}

function acquire(path: string, candidate: string, fd: number, token: string, busy: string): void {
  for (let attempt = 0; ; attempt++) {
    if (isCreated(candidate, path)) return;
    const last = lastOf(path);
    // Released meanwhile.
    if (last === undefined) continue;
    const verdict = judge(last, diskTime(fd));
    if (verdict === 'torn') {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
      continue;
    }
    if (verdict === 'held' || attempt > mostAttempts) throw isHeld(path, last, diskTime(fd), busy);
    const claim = claimOf(path, last.token);
    if (!isCreated(candidate, claim)) continue;
    if (lastOf(path)?.token === token) {
      renameSync(claim, path);
      return;
    }
    rmSync(claim, { force: true });
  }
}

function hold(path: string, fd: number, token: string): Lock {
  // Into the very file that was created, whatever became of its name; the clock is that of the file system.
  const timer = setInterval(() => {
    try {
      writeSync(fd, '{', 0);
    } catch {
      // The file system has gone; whoever writes to it hears of it.
    }
  }, heartbeat);
  timer.unref();
  let isHeldStill = true;
  const release = (): void => {
    if (!isHeldStill) return;
    isHeldStill = false;
    releases.delete(release);
    clearInterval(timer);
    closeSync(fd);
    // Others may have taken it over from a process that slept.
    if (lastOf(path)?.token === token) rmSync(path, { force: true });
  };
  if (!process.listeners('exit').includes(atExit)) process.on('exit', atExit);
  releases.add(release);
  return { release };
}

function atExit(): void {
  for (const release of releases) release();
}

const claimOf = (path: string, token: string): string => `${path}.${token}`;
const isToken = (text: string): boolean => /^[0-9a-f]{16}$/.test(text);

/** Gives the candidate a second name, if that is free. */
function isCreated(candidate: string, name: string): boolean {
  try {
    linkSync(candidate, name);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (code === 'ENOENT' || code === 'EACCES' || code === 'EROFS' || code === 'ENOSPC') throw error;
  }
  // Some file systems have no links: there the file is empty for a moment.
  try {
    closeSync(openSync(name, 'wx'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  renameSync(candidate, name);
  return true;
}

/** What others left that tried for the lock, now that it has a holder. */
function tidy(path: string, token: string): void {
  removeStale(path);
  const prefix = `${basename(path)}.`;
  for (const name of readdirSync(dirname(path))) {
    const rest = name.slice(prefix.length);
    if (name.startsWith(prefix) && isToken(rest) && rest !== token) removeLeaving(join(dirname(path), name));
  }
}

/** The lock at `path`, or the last of its successors; undefined where there is none. */
function lastOf(path: string): Found | undefined {
  const seen = new Set<string>();
  let last = look(path);
  for (let next = last; next !== undefined && !seen.has(next.token); next = look(claimOf(path, last.token))) {
    seen.add(next.token);
    last = next;
  }
  return last;
}

function look(path: string): Found | undefined {
  let facts: string;
  let modified: number;
  try {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    if (stat.isSymbolicLink()) throw new LowrankError('INPUT', 'not a regular file', { place: path });
    modified = stat.mtimeMs;
    facts = `${stat.ino} ${stat.mtimeMs}`;
  } catch (error) {
    throw unusable(path, error);
  }
  let text: string;
  try {
    text = readRegularText(path, 2 ** 16);
  } catch (error) {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
    throw unusable(path, error);
  }
  const holder = holderOf(text);
  return { token: holder?.token ?? shortHash(`${facts} ${text}`, 16), holder, modified };
}

function holderOf(text: string): Holder | undefined {
  try {
    const { process, host, start, space, token } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    if (typeof process !== 'number' || typeof host !== 'string') return undefined;
    return {
      process,
      host,
      ...(typeof start === 'string' ? { start } : {}),
      ...(typeof space === 'string' ? { space } : {}),
      ...(typeof token === 'string' && isToken(token) ? { token } : {}),
    };
  } catch {
    return undefined;
  }
}

function judge({ holder, modified }: Found, now: number): 'held' | 'free' | 'torn' {
  const age = now - modified;
  if (holder === undefined) return age > tornPatience ? 'free' : 'torn';
  const byHeartbeat = age > patience ? 'free' : 'held';
  const isHere = holder.host === hostname() && (holder.space === undefined || holder.space === ownProcessSpace);
  if (!isHere) return byHeartbeat;
  const presence = presenceOf(holder.process, holder.start);
  if (presence !== 'unknown') return presence === 'there' ? 'held' : 'free';
  const started = startTimeOf(holder.process);
  // A process that is younger than the lock got its number from one that has ended.
  if (started !== undefined) return started > modified + 1000 ? 'free' : 'held';
  return byHeartbeat;
}

/** The time of the clock that stamps the files of this folder. */
function diskTime(fd: number): number {
  writeSync(fd, '{', 0);
  return fstatSync(fd).mtimeMs;
}

function isHeld(path: string, { holder, modified }: Found, now: number, busy: string): LowrankError {
  const who = holder === undefined ? 'another process' : `process ${holder.process} on ${holder.host}`;
  const isElsewhere = holder !== undefined && holder.host !== hostname();
  const seen = isElsewhere ? `, last heard of ${Math.max(0, Math.round((now - modified) / 1000))} s ago,` : '';
  return new LowrankError('OUTPUT', `${who}${seen} ${busy}`, {
    place: path,
    remedy: 'wait for it, choose another -o, or remove the file if that process is gone',
  });
}

function unusable(path: string, error: unknown): LowrankError {
  const code = (error as NodeJS.ErrnoException).code;
  const isMissing = code === 'ENOENT' || code === 'ENOTDIR';
  const fact = isMissing
    ? 'the folder of the output does not exist'
    : error instanceof LowrankError
      ? error.fact
      : messageOf(error);
  return new LowrankError('OUTPUT', `the lock cannot be taken: ${fact}`, {
    place: path,
    remedy:
      error instanceof LowrankError ? 'remove what is in its place, or choose another -o' : 'choose another output',
    cause: error,
  });
}
