import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { ownStartMark, presenceOf, shortHash } from './process.js';

/** Process numbers say something on their own machine only. */
const machine = shortHash(hostname(), 6);
/** File systems allow 255 bytes; the marks around take 45 of them. */
const longestBase = 200;

/** What a path's temporary files are called before the marks of their owner and of chance. */
function temporaryBase(path: string): string {
  let base = basename(path).slice(0, longestBase);
  while (Buffer.byteLength(base) > longestBase) base = base.slice(0, -1);
  return `.${base}`;
}

/** `tmp`: on its way; `old`: a folder that makes place for another, and is the only copy until that has come. */
export type Ending = 'tmp' | 'old';

/** A name beside `path` that is free, hidden, and says which process made it: `staleOf` finds it once that has gone. */
export function temporaryName(path: string, ending: Ending = 'tmp'): string {
  const marks = `${machine}-${process.pid}-${ownStartMark}-${randomBytes(4).toString('hex')}`;
  return join(dirname(path), `${temporaryBase(path)}.${marks}.${ending}`);
}

/** The marks, behind the name of a data file of the path or of the path itself. Older versions did not mark the start. */
const marksOf = new RegExp(`^(?:\\.(?:\\d+\\.)?data)?\\.${machine}-(\\d+)-(?:([0-9a-f]{8})-)?[0-9a-f]{8}\\.(tmp|old)$`);

/** Paths of what processes of this machine that are no longer there left beside `path`. */
export function staleOf(path: string, ending: Ending = 'tmp'): readonly string[] {
  const base = temporaryBase(path);
  let names: string[];
  try {
    names = readdirSync(dirname(path));
  } catch {
    // Reported by what follows, which needs the folder.
    return [];
  }
  return names.flatMap((name) => {
    const marks = name.startsWith(base) ? marksOf.exec(name.slice(base.length)) : null;
    const isStale = marks?.[3] === ending && presenceOf(Number(marks[1]), marks[2]) === 'gone';
    return isStale ? [join(dirname(path), name)] : [];
  });
}

/** Removes a file or a folder with all that is in it, if that is allowed: what is of another user, that one will remove. */
export function removeLeaving(path: string): void {
  try {
    rmSync(path, { force: true, recursive: true });
  } catch {
    // It stays.
  }
}

/**
 * Removes what processes of this machine that are no longer there left beside `path`, and undoes what one of them began that
 * was killed while it put a file with companions (`stagedNames`) into its place.
 */
export function removeStale(path: string): void {
  for (const stale of staleOf(path)) {
    for (const companion of strayCompanions(path, stale)) removeLeaving(companion);
    removeLeaving(stale);
  }
}

/**
 * How a file and its companions lie in the folder that they are staged in: under the names that they will have beside each
 * other, so that they can be used from there. While they are put into their places, companions have two names, here and
 * there; those of the file that is replaced have a second one here too.
 */
export const stagedNames = {
  file: (path: string): string => basename(path),
  replaced: (name: string): string => `replaced-${name}`,
} as const;

/** Companions in the folder of `path` that a killed process left without their file: new ones before it came, old ones after. */
function strayCompanions(path: string, staging: string): readonly string[] {
  const folder = dirname(path);
  const name = stagedNames.file(path);
  let staged: readonly string[];
  try {
    staged = readdirSync(staging);
  } catch {
    // A file.
    return [];
  }
  const isInPlace = !staged.includes(name) || isSameFile(join(staging, name), path);
  const prefix = stagedNames.replaced('');
  return staged.flatMap((companion) => {
    const isOld = companion.startsWith(prefix);
    if (companion === name || isOld !== isInPlace) return [];
    const there = join(folder, isOld ? companion.slice(prefix.length) : companion);
    return isSameFile(join(staging, companion), there) ? [there] : [];
  });
}

/** What this process would leave behind if it ended now. */
const held = new Set<string>();

/**
 * Removes a temporary file or folder where the process ends (not where it is killed) before the function that this gives
 * was called.
 */
export function removeAtExit(path: string): () => void {
  if (!process.listeners('exit').includes(atExit)) process.on('exit', atExit);
  held.add(path);
  return () => {
    held.delete(path);
  };
}

function atExit(): void {
  for (const path of held) removeLeaving(path);
}

/** Whether two names are of one file: links to it that both are no symbolic links. */
function isSameFile(one: string, other: string): boolean {
  const [a, b] = [one, other].map((path) => lstatSync(path, { throwIfNoEntry: false, bigint: true }));
  return a !== undefined && b !== undefined && a.isFile() && a.dev === b.dev && a.ino === b.ino;
}
