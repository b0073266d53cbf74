import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { makeFolder } from '../make-folder.js';
import { LowrankError, messageOf } from '../errors.js';
import { removeAtExit } from '../files/temporary.js';
import { syncFolder } from '../files/write-file.js';
import type { CheckpointIdentity, CheckpointPosition } from '../contracts/checkpoint.js';
import { readCheckpoint, writeCheckpoint } from './checkpoint-file.js';
import type { SavedCall } from './saved-call.js';
import type { TrainingState } from '../step/vectors.js';

const prefix = 'step-';

/**
 * What a checkpoint's folder is called while it is none:
 * - `.step-000000120.4711`: being written by process 4711;
 * - `.step-000000120.replaced`: in the way of one of the same step, until that has its name;
 * - `.step-000000120.superseded`: of an earlier training, until the new one has a checkpoint;
 * - `.step-000000120.removed`: being removed.
 */
const hidden = /^\.(step-\d+)\.(\d+|replaced|superseded|removed)$/;
const named = /^step-\d+$/;

/** A folder of checkpoints, `step-000000120/{model.onnx,state.safetensors,state.json}` each. */
export interface CheckpointFolder {
  readonly path: string;
  /** Paths of what is there, the newest first. */
  list(): readonly string[];
  /**
   * Writes a checkpoint: whole under its name, or not at all. `model` writes the model to a path. Removes old ones: the
   * last `keep` stay, and those of `kept`. Throws OUTPUT, with the checkpoints before it as they were.
   */
  write(
    state: TrainingState,
    position: CheckpointPosition,
    identity: CheckpointIdentity,
    model: (path: string) => void,
    call?: SavedCall,
  ): string;
  /** The vectors of the checkpoint of a step. Throws FORMAT, INPUT where it is damaged or has gone. */
  read(step: number): TrainingState;
  /** A checkpoint that stays when newer ones come. */
  keep(step: number): void;
  /** The best so far, which stays until a better one comes. */
  keepBest(step: number): void;
  /** Removes those that are not to stay, as every checkpoint does that is written: a killed training may have come no further. */
  tidy(): void;
  /** Removes the checkpoint of a step, whose weights turned out to be worthless. */
  drop(step: number): void;
  /** Removes the checkpoints of later steps, which are done again. */
  dropBehind(step: number): void;
  /** Begins anew: what is there goes away once there is a new checkpoint, and is there again where none came. */
  supersede(): void;
  /** Gives up what was begun anew: without a new checkpoint, those that it was to supersede are there again. */
  reinstate(): void;
}

/** The folder of the checkpoints of an output. */
export function checkpointsOf(output: string): string {
  return `${output}.checkpoints`;
}

/** Paths of the checkpoints in a folder, the newest first. */
export function listCheckpoints(path: string): readonly string[] {
  const names = existsSync(path) ? readdirSync(path).filter((name) => named.test(name)) : [];
  return names
    .toSorted()
    .reverse()
    .map((name) => join(path, name));
}

/**
 * One process at a time writes here: what lies here of checkpoints that are not whole was left by one that was killed, and
 * is removed, after those were found again that had lost their name to one that never came.
 */
export function openCheckpoints(path: string, keepLast: number): CheckpointFolder {
  const hiddenOf = (name: string, as: string): string => join(path, `.${name}.${as}`);
  const namesOf = (pattern: RegExp): readonly string[] =>
    existsSync(path) ? readdirSync(path).filter((name) => pattern.test(name)) : [];
  /** At once under another name, which is no checkpoint's: killed in between, no half checkpoint is left. */
  const remove = (name: string): void => {
    const removed = hiddenOf(name, 'removed');
    rmSync(removed, { recursive: true, force: true });
    if (existsSync(join(path, name))) renameSync(join(path, name), removed);
    rmSync(removed, { recursive: true, force: true });
  };
  const removeHidden = (as: string): void => {
    for (const name of namesOf(hidden)) {
      if (hidden.exec(name)![2] === as) rmSync(join(path, name), { recursive: true, force: true });
    }
  };
  const restore = (as: string, mayReturn: (name: string) => boolean): void => {
    for (const each of namesOf(hidden)) {
      const [, name, state] = hidden.exec(each)!;
      if (state === as && mayReturn(name!)) renameSync(join(path, each), join(path, name!));
    }
  };
  restore('replaced', (name) => !existsSync(join(path, name)));
  const reinstate = (): void => {
    // Looked at before: the first of them that returns is no new one.
    const hasNone = namesOf(named).length === 0;
    restore('superseded', () => hasNone);
  };
  reinstate();
  for (const name of namesOf(hidden)) rmSync(join(path, name), { recursive: true, force: true });
  const kept = new Set<string>();
  let best: string | undefined;
  const list = (): readonly string[] => listCheckpoints(path);
  const tidy = (): void => {
    for (const old of list().slice(keepLast)) {
      if (!kept.has(basename(old)) && basename(old) !== best) remove(basename(old));
    }
  };
  const nameOf = (step: number): string => `${prefix}${String(step).padStart(9, '0')}`;
  return {
    path,
    list,
    keep: (step) => void kept.add(nameOf(step)),
    keepBest: (step) => {
      best = nameOf(step);
    },
    drop(step) {
      remove(nameOf(step));
    },
    dropBehind(step) {
      for (const name of namesOf(named)) if (name > nameOf(step)) remove(name);
    },
    supersede() {
      for (const name of namesOf(named)) renameSync(join(path, name), hiddenOf(name, 'superseded'));
    },
    reinstate,
    write(state, position, identity, model, call) {
      const name = nameOf(position.step);
      const final = join(path, name);
      const staging = hiddenOf(name, String(process.pid));
      const keep = removeAtExit(staging);
      try {
        rmSync(staging, { recursive: true, force: true });
        makeFolder(staging);
        writeCheckpoint(staging, state, position, identity, model, call);
        // The same step again: the old one makes place only when the new one is whole.
        const replaced = hiddenOf(name, 'replaced');
        rmSync(replaced, { recursive: true, force: true });
        if (existsSync(final)) renameSync(final, replaced);
        renameSync(staging, final);
        syncFolder(path);
        removeHidden('replaced');
        removeHidden('superseded');
      } catch (error) {
        rmSync(staging, { recursive: true, force: true });
        restore('replaced', (old) => !existsSync(join(path, old)));
        throw unwritable(path, position.step, list()[0], error);
      } finally {
        keep();
      }
      tidy();
      return final;
    },
    read: (step) => readCheckpoint(join(path, nameOf(step))).state,
    tidy,
  };
}

function unwritable(path: string, step: number, before: string | undefined, error: unknown): LowrankError {
  const fact = error instanceof LowrankError ? error.fact : messageOf(error);
  const isWhole = before === undefined ? '' : `; the one before it is whole: ${before}`;
  return new LowrankError('OUTPUT', `the checkpoint of step ${step} cannot be written: ${fact}`, {
    place: path,
    remedy: `make room, then go on with --resume${isWhole}`,
    cause: error,
  });
}
