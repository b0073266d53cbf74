import { closeSync, lstatSync, openSync, readlinkSync, realpathSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { LowrankError } from '../errors.js';
import { temporaryName } from './temporary.js';

/** A path that a command reads or writes. */
export interface PathUse {
  readonly path: string;
  /** For messages: "the model". */
  readonly name: string;
  /** What sets it, where the user can: "--report". */
  readonly option?: string | undefined;
  readonly access: 'read' | 'write';
  /**
   * - `file`;
   * - `folder`: read with all that is in it, or replaced as a whole;
   * - `shared`: a folder into which files are put that have names of their own. */
  readonly kind: 'file' | 'folder' | 'shared';
}

/** Something that works on files of its own. */
export interface WithPaths {
  readonly paths?: readonly PathUse[];
}

export function reads(path: string, name: string, option?: string, kind: 'file' | 'folder' = 'file'): PathUse {
  return { path, name, option, access: 'read', kind };
}

export function writes(path: string, name: string, option?: string, kind: PathUse['kind'] = 'file'): PathUse {
  return { path, name, option, access: 'write', kind };
}

/**
 * Throws USAGE where two outputs, or an output and an input, are one file, whatever they are called: through `./`, symbolic
 * and hard links, letters of the other case where these mean the same, and also where they are not there yet. Likewise
 * where an output lies in a folder that is read or replaced, or a folder that is replaced holds an input. Every command asks
 * this of all its paths before any work, with or without --force.
 */
export function checkPaths(uses: readonly PathUse[]): void {
  const placed = uses.map((use) => ({ use, place: placeOf(use.path) }));
  for (const [index, output] of placed.entries()) {
    if (output.use.access !== 'write') continue;
    for (const [at, other] of placed.entries()) {
      // Two outputs are compared once.
      if (at === index || (other.use.access === 'write' && at < index)) continue;
      const how = relationOf(output, other);
      if (how !== undefined) throw conflict(output.use, other.use, how);
    }
  }
}

interface Placed {
  readonly use: PathUse;
  readonly place: Place;
}

type Relation = 'same' | 'output lies in other' | 'other lies in output';

function relationOf(output: Placed, other: Placed): Relation | undefined {
  const areShared = output.use.kind === 'shared' && other.use.kind === 'shared';
  if (areShared && other.use.access === 'write') return undefined;
  if (isSame(output.place, other.place)) return 'same';
  if (output.use.kind !== 'shared' && isWithin(other.place, output.place)) return 'other lies in output';
  const isWhole = other.use.access === 'write' ? other.use.kind !== 'shared' : other.use.kind === 'folder';
  return isWhole && isWithin(output.place, other.place) ? 'output lies in other' : undefined;
}

function conflict(output: PathUse, other: PathUse, how: Relation): LowrankError {
  const fact = {
    same: `${output.name} and ${other.name} are the same ${output.kind === 'file' ? 'file' : 'folder'}`,
    'output lies in other': `${output.name} lies in ${other.name}`,
    'other lies in output': `${other.name} lies in ${output.name}`,
  }[how];
  const option = output.option ?? (other.access === 'write' ? other.option : undefined);
  return new LowrankError('USAGE', fact, {
    place: output.path,
    remedy: option === undefined ? 'choose another path' : `choose another with ${option}`,
  });
}

/** Where a path leads: through what is there, and the names of what is not. */
interface Place {
  /** The nearest that is there, without links: itself, or a folder around it. */
  readonly base: string;
  /** The device and file numbers of `base`, and of all folders around it. */
  readonly identities: readonly string[];
  /** Names below `base` that are not there yet. */
  readonly missing: readonly string[];
}

/** As many symbolic links as Linux follows. */
const mostLinks = 40;

function placeOf(path: string): Place {
  let at = resolve(path);
  const missing: string[] = [];
  for (let links = 0; ;) {
    const real = realOf(at);
    if (real !== undefined) return { base: real, identities: identitiesOf(real), missing };
    const target = links < mostLinks ? linkAt(at) : undefined;
    if (target !== undefined) {
      // It leads to where nothing is yet.
      at = resolve(dirname(at), target);
      links++;
      continue;
    }
    missing.unshift(basename(at));
    if (dirname(at) === at) return { base: at, identities: [], missing };
    at = dirname(at);
  }
}

function realOf(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

function linkAt(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined;
  } catch {
    return undefined;
  }
}

function identitiesOf(path: string): readonly string[] {
  const identities: string[] = [];
  for (let at = path; ; at = dirname(at)) {
    try {
      const { dev, ino } = statSync(at, { bigint: true });
      identities.push(`${dev}:${ino}`);
    } catch {
      // It has gone meanwhile, or is nobody's to see: its name stands for it.
      identities.push(at);
    }
    if (dirname(at) === at) return identities;
  }
}

function isSame(one: Place, other: Place): boolean {
  return one.identities[0] === other.identities[0] && areNamesSame(one, other.missing);
}

/** Whether `inner` lies below `outer`, at any depth. */
function isWithin(inner: Place, outer: Place): boolean {
  if (outer.missing.length === 0) {
    const depth = inner.identities.indexOf(outer.identities[0]!);
    return depth > 0 || (depth === 0 && inner.missing.length > 0);
  }
  if (inner.identities[0] !== outer.identities[0] || inner.missing.length <= outer.missing.length) return false;
  return areNamesSame({ ...inner, missing: inner.missing.slice(0, outer.missing.length) }, outer.missing);
}

function areNamesSame({ base, missing }: Place, others: readonly string[]): boolean {
  if (missing.length !== others.length) return false;
  const different = missing.findIndex((name, i) => name !== others[i]);
  if (different < 0) return true;
  const fold = (name: string): string => name.normalize('NFC').toLowerCase();
  if (missing.some((name, i) => fold(name) !== fold(others[i]!))) return false;
  return isOneName(base, missing[different]!, others[different]!);
}

/** Whether the file system takes two names for one, which only it knows. */
function isOneName(folder: string, name: string, other: string): boolean {
  const probe = temporaryName(join(folder, name));
  // Of names too long for a probe it is not known.
  if (!basename(probe).startsWith(`.${name}.`)) return true;
  const marks = basename(probe).slice(name.length + 1);
  try {
    closeSync(openSync(probe, 'wx'));
  } catch {
    // Nothing can be written there, which is found out later.
    return process.platform === 'darwin' || process.platform === 'win32';
  }
  try {
    return statSync(join(folder, `.${other}${marks}`), { throwIfNoEntry: false }) !== undefined;
  } finally {
    rmSync(probe, { force: true });
  }
}
