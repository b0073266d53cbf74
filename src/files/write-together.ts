import { linkSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { removeAtExit, removeStale, stagedNames, temporaryName } from './temporary.js';
import type { Pieces } from './pieces.js';
import type { Chunk } from './chunk.js';
import { createInPieces, moveToFreeName, syncFolder, unwritable } from './write-file.js';

/** A file and a companion that it names, complete in a folder of their own beside their places. */
export interface StagedTogether {
  /** Of the file, until `commit`; the companion lies beside it under its own name. */
  readonly temporaryPath: string;
  readonly bytes: number;
  /** The companion's place, where there is one. */
  readonly companionPath: string | undefined;
  /** Where it is until `commit`. */
  readonly temporaryCompanion: string | undefined;
  readonly companionBytes: number;
  /** Puts both into their places: the companion, whose name must be free, first. Removes those that are `replaced`. */
  commit(replaced: readonly string[]): void;
  /** Removes both. After `commit` it does nothing. */
  discard(): void;
}

export interface Together {
  readonly path: string;
  readonly chunks: Iterable<Chunk>;
  /** Whether a file that is there is replaced. */
  readonly force: boolean;
  readonly companion: { readonly path: string; readonly chunks: Iterable<Chunk> } | undefined;
}

/**
 * Writes both, and yields the bytes written so far. Killed at any moment, what was there before is there, or both; what
 * else is left, the next one to write to `path` removes (`removeStale`). Throws OUTPUT, leaving nothing behind.
 */
export function* stageTogether({ path, chunks, force, companion }: Together): Pieces<StagedTogether> {
  removeStale(path);
  const folder = temporaryName(path);
  const keep = removeAtExit(folder);
  let isStaged = true;
  const discard = (): void => {
    if (isStaged) rmSync(folder, { recursive: true, force: true });
    isStaged = false;
    keep();
  };
  const temporaryPath = join(folder, stagedNames.file(path));
  const temporaryCompanion = companion === undefined ? undefined : join(folder, basename(companion.path));
  let companionBytes = 0;
  let bytes: number;
  try {
    mkdirSync(folder);
    if (companion !== undefined) companionBytes = yield* createInPieces(temporaryCompanion!, companion.chunks);
    bytes = yield* createInPieces(temporaryPath, chunks);
  } catch (error) {
    discard();
    throw unwritable(path, error);
  }
  return {
    temporaryPath,
    bytes,
    companionPath: companion?.path,
    temporaryCompanion,
    companionBytes,
    discard,
    commit(replaced) {
      let isCompanionThere = false;
      try {
        for (const old of replaced) alsoNamed(old, join(folder, stagedNames.replaced(basename(old))));
        if (companion !== undefined) putCompanion(temporaryCompanion!, companion.path);
        isCompanionThere = companion !== undefined;
        if (force) renameSync(temporaryPath, path);
        else moveToFreeName(temporaryPath, path);
      } catch (error) {
        if (isCompanionThere) rmSync(companion!.path, { force: true });
        throw unwritable(path, error);
      }
      for (const old of replaced) rmSync(old, { force: true });
      syncFolder(dirname(path));
      discard();
    },
  };
}

/** Under both names, so that a process that comes later can tell whose it is. */
function putCompanion(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error;
    moveToFreeName(from, to);
  }
}

function alsoNamed(path: string, name: string): void {
  try {
    linkSync(path, name);
  } catch {
    // Some file systems have no links: killed in the wrong moment, the old companion stays.
  }
}
