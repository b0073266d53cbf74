import { createHash } from 'node:crypto';
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { makeFolder } from '../make-folder.js';
import { LowrankError, messageOf } from '../errors.js';
import { readRegularText } from '../files/regular.js';
import { removeAtExit } from '../files/temporary.js';
import { fileSha256 } from '../files/hash.js';
import { drain } from '../files/pieces.js';
import { syncFolder, writeFileWhole } from '../files/write-file.js';
import type { TrainEpoch, TrainStart } from '../contracts/train.js';
import type { LossScale } from '../step/loss-scale.js';
import { type CheckpointIdentity, type Comparison, type Difference, requireSameTraining } from './same-training.js';
import { areSettings, isSavedCall, type SavedCall } from './saved-call.js';
import { encodeSafetensors, readSafetensors, type SafetensorsEntry } from '../files/safetensors.js';
import type { TrainingState } from '../step/vectors.js';

/** Where a training is, beside its vectors. */
export interface CheckpointPosition {
  /** Updates done. */
  readonly step: number;
  /** From 0: the epoch that comes next, or goes on. */
  readonly epoch: number;
  /** Batches of that epoch that are done. */
  readonly batch: number;
  /** Sums over the part of that epoch that is done. */
  readonly running: {
    readonly images: number;
    readonly loss: number;
    readonly correct: number;
    readonly gradientNorm: number;
    readonly steps: number;
    readonly seconds: number;
    readonly waitSeconds: number;
  };
  /** Epochs that are done. */
  readonly epochs: readonly TrainEpoch[];
  /** Before the first update; absent where it was not measured. */
  readonly start?: TrainStart;
  /** With float16. */
  readonly lossScale?: LossScale;
  /** In a training of several: the one that goes on, or has ended, and the updates that were done or skipped before it. */
  readonly segment?: { readonly index: number; readonly name: string; readonly tried: number };
}

/** What state.json says. */
export interface StateFile extends CheckpointPosition {
  readonly schema: 'lowrank.checkpoint/1';
  readonly identity: CheckpointIdentity;
  /** What the training was told; files of older versions have none. */
  readonly call?: SavedCall;
  /** SHA-256 of state.safetensors: a torn checkpoint is recognized by it. */
  readonly sha256: string;
  /** `checksumOf` all the rest; files of older versions have none. */
  readonly checksum?: string;
}

const names = { model: 'model.onnx', state: 'state.safetensors', position: 'state.json' } as const;
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
        const bytes = encodeSafetensors(vectorsOf(state), { step: String(position.step) });
        writeFileWhole(join(staging, names.state), bytes);
        model(join(staging, names.model));
        const file: StateFile = {
          schema: 'lowrank.checkpoint/1',
          ...position,
          identity,
          ...(call === undefined ? {} : { call }),
          sha256: createHash('sha256').update(bytes).digest('hex'),
        };
        const summed: StateFile = { ...file, checksum: checksumOf(file) };
        writeFileWhole(join(staging, names.position), `${JSON.stringify(summed, undefined, 2)}\n`);
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

/** SHA-256 of what a state file says, as JSON without spaces. */
function checksumOf(file: Partial<StateFile>): string {
  const said = Object.fromEntries(Object.entries(file).filter(([key]) => key !== 'checksum'));
  return createHash('sha256').update(JSON.stringify(said)).digest('hex');
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

/** The four vectors by name. */
function vectorsOf({ parameters, statistics, state, ema }: TrainingState): Map<string, SafetensorsEntry> {
  return new Map(
    Object.entries({ parameters, statistics, state, ema }).map(([name, data]) => [
      name,
      { shape: [data.length], data },
    ]),
  );
}

export interface Checkpoint {
  readonly path: string;
  readonly state: TrainingState;
  readonly position: CheckpointPosition;
  /** What is another than it was, and may be. */
  readonly differences: readonly Difference[];
}

/**
 * Reads the newest whole checkpoint of the list; torn ones are passed over with a warning that says why.
 * Throws USAGE where it belongs to another training (`requireSameTraining`), INPUT where none is whole.
 */
export function readNewest(
  paths: readonly string[],
  identity: CheckpointIdentity,
  comparison: Comparison,
  lengths: { readonly [Name in keyof TrainingState]: number },
  warn: (line: string) => void,
): Checkpoint {
  const reasons: string[] = [];
  for (const path of paths) {
    let read: { readonly file: StateFile; readonly state: TrainingState };
    try {
      read = readCheckpoint(path);
    } catch (error) {
      const reason = `checkpoint ${path} is damaged (${error instanceof LowrankError ? error.fact : messageOf(error)})`;
      reasons.push(reason);
      if (path !== paths.at(-1)) warn(`${reason}: the one before it is used`);
      continue;
    }
    const differences = requireSameTraining(path, read.file.identity, identity, comparison);
    for (const name of ['parameters', 'statistics', 'state', 'ema'] as const) {
      if (read.state[name].length === lengths[name]) continue;
      throw new LowrankError('USAGE', `the checkpoint has ${read.state[name].length} ${name}, not ${lengths[name]}`, {
        place: path,
        remedy: 'resume with the model and the settings of that training',
      });
    }
    return { path, state: read.state, position: read.file, differences };
  }
  throw noCheckpoint(reasons[0]);
}

/** The segment, from 0, of the newest whole checkpoint beside an output; 0 where there is none. */
export function newestSegment(output: string): number {
  for (const path of listCheckpoints(checkpointsOf(output))) {
    try {
      return readCheckpoint(path).file.segment?.index ?? 0;
    } catch {
      // It is damaged: `readNewest` says so.
    }
  }
  return 0;
}

/** What the newest checkpoint beside an output says of which state.json is whole. Throws INPUT where there is none. */
export function newestState(output: string): StateFile {
  const folder = checkpointsOf(output);
  let reason: string | undefined;
  for (const path of listCheckpoints(folder)) {
    try {
      return readState(join(path, names.position));
    } catch (error) {
      reason ??= `checkpoint ${path} is damaged (${error instanceof LowrankError ? error.fact : messageOf(error)})`;
    }
  }
  throw noCheckpoint(reason, folder);
}

/** What the training into an output was told, as far as it can be seen before its lock is taken. */
export function savedCall(output: string): SavedCall | undefined {
  try {
    return newestState(output).call;
  } catch {
    return undefined;
  }
}

function noCheckpoint(reason: string | undefined, place?: string): LowrankError {
  return new LowrankError('INPUT', reason ?? 'there is no checkpoint to resume from', {
    ...(place === undefined || reason !== undefined ? {} : { place }),
    remedy: 'name the output of that training with -o, or train without --resume',
  });
}

function readCheckpoint(path: string): { readonly file: StateFile; readonly state: TrainingState } {
  const file = readState(join(path, names.position));
  const statePath = join(path, names.state);
  if (drain(fileSha256(statePath)) !== file.sha256)
    throw new LowrankError('FORMAT', 'state.safetensors is not what was written', { place: path });
  const { tensors } = readSafetensors(statePath);
  const vector = (name: string): Float32Array => {
    const data = tensors.get(name)?.data;
    if (data instanceof Float32Array) return data;
    throw new LowrankError('FORMAT', `state.safetensors has no '${name}'`, { place: path });
  };
  return {
    file,
    state: {
      parameters: vector('parameters'),
      statistics: vector('statistics'),
      state: vector('state'),
      ema: vector('ema'),
    },
  };
}

const needed = { step: 'number', epoch: 'number', batch: 'number', running: 'object', sha256: 'string' } as const;

function readState(path: string): StateFile {
  const file = JSON.parse(readRegularText(path)) as Partial<StateFile> | null;
  if (file?.schema !== 'lowrank.checkpoint/1') {
    throw new LowrankError('FORMAT', `state.json is '${String(file?.schema)}'`, { place: path });
  }
  const { checksum, identity } = file;
  const isWhole =
    Object.entries(needed).every(([name, type]) => typeof file[name as keyof typeof needed] === type) &&
    Array.isArray(file.epochs) &&
    typeof identity?.model === 'string' &&
    typeof identity.settings === 'object' &&
    areSettings(identity.settings) &&
    (file.segment === undefined || isSegment(file.segment)) &&
    (file.start === undefined || typeof (file.start as TrainStart | null)?.valTop1 === 'number') &&
    (file.call === undefined || isSavedCall(file.call)) &&
    (checksum === undefined || checksum === checksumOf(file));
  if (!isWhole) throw new LowrankError('FORMAT', 'state.json is not what was written', { place: path });
  return file as StateFile;
}

function isSegment(value: unknown): boolean {
  const { index, name, tried } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return Number.isSafeInteger(index) && (index as number) >= 0 && typeof name === 'string' && typeof tried === 'number';
}
