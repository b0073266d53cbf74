import { existsSync, lstatSync, mkdirSync, readdirSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { LowrankError } from '../errors.js';
import { removeAtExit, removeLeaving, removeStale, staleOf, temporaryName } from './temporary.js';
import { existing, isThere, syncFolder, unwritable } from './write-file.js';

export interface StageFolderOptions {
  /** Replace a folder that is there, if it holds nothing but files of these names. */
  readonly force: boolean;
  readonly files: readonly string[];
}

/** A folder that is filled beside its place. */
export interface StagedFolder {
  /** Where its files are written until `commit`. */
  readonly temporaryPath: string;
  /** Moves it to its place; a folder that was there goes away once the new one has its name. */
  commit(): void;
  /** Removes it. After `commit` it does nothing. */
  discard(): void;
}

/**
 * Makes an empty folder beside `path`, to be moved there when it is complete, so that `path` appears whole or not at all.
 * An empty folder may always be replaced. Throws OUTPUT where `path` cannot become this folder: it exists (unless `force`),
 * it is no folder, it holds files that are not ours, or the folder around it is missing or not writable.
 */
export function stageFolder(path: string, options: StageFolderOptions): StagedFolder {
  const final = placeOf(path);
  recoverFolder(final);
  checkReplaceable(final, options);
  removeStale(final);
  const temporaryPath = temporaryName(final);
  const keep = removeAtExit(temporaryPath);
  try {
    mkdirSync(temporaryPath);
  } catch (error) {
    keep();
    throw unwritable(path, error);
  }
  let isStaged = true;
  return {
    temporaryPath,
    commit: () => {
      checkReplaceable(final, options);
      const old = isThere(final) ? temporaryName(final, 'old') : undefined;
      try {
        if (old !== undefined) renameSync(final, old);
        try {
          renameSync(temporaryPath, final);
        } catch (error) {
          if (old !== undefined) renameSync(old, final);
          throw error;
        }
      } catch (error) {
        throw unwritable(path, error);
      }
      isStaged = false;
      keep();
      syncFolder(dirname(final));
      if (old !== undefined) rmSync(old, { recursive: true, force: true });
    },
    discard: () => {
      if (isStaged) rmSync(temporaryPath, { recursive: true, force: true });
      isStaged = false;
      keep();
    },
  };
}

/** Gives a folder its name again that a killed process had put aside for one that never came. */
function recoverFolder(path: string): void {
  for (const old of staleOf(path, 'old')) {
    if (isThere(path)) removeLeaving(old);
    else renameSync(old, path);
  }
}

/** Absolute, without a slash at its end, through a link to a folder. */
function placeOf(path: string): string {
  const absolute = resolve(path);
  return existsSync(absolute) && lstatSync(absolute).isSymbolicLink() ? realpathSync(absolute) : absolute;
}

function checkReplaceable(path: string, { force, files }: StageFolderOptions): void {
  const place = path;
  const around = dirname(path);
  if (statSync(around, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new LowrankError('OUTPUT', 'the folder around the output does not exist', {
      place,
      remedy: `create ${around}`,
    });
  }
  if (!isThere(path)) return;
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new LowrankError('OUTPUT', 'the output is a folder, and a file is in its place', {
      place,
      remedy: 'give another path',
    });
  }
  let names: string[];
  try {
    names = readdirSync(path);
  } catch (error) {
    throw unwritable(path, error);
  }
  if (names.length === 0) return;
  const foreign = names.find((name) => !files.includes(name) || !statSync(join(path, name)).isFile());
  if (foreign !== undefined) {
    throw new LowrankError('OUTPUT', `the output folder holds something else: '${foreign}'`, {
      place,
      remedy: 'choose a folder of its own',
    });
  }
  if (!force) throw existing(path);
}
