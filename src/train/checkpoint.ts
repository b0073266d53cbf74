import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { makeFolder } from '../make-folder.js';
import type { DataStamp } from '../data/stamp.js';
import { LowrankError, messageOf } from '../errors.js';
import { writeFileWhole } from '../onnx/write-file.js';
import type { TrainEpoch } from '../report/train-contract.js';
import type { LossScale } from './loss-scale.js';
import { defaultTrainSettings } from './options.js';
import { requireSameImages } from './same-images.js';
import { encodeSafetensors, readSafetensors, type SafetensorsEntry } from './safetensors.js';
import type { TrainingState } from './vectors.js';

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
  /** With float16. */
  readonly lossScale?: LossScale;
}

/** What must be the same for a training to go on from a checkpoint. */
export interface CheckpointIdentity {
  /** SHA-256 of the model that training began with. */
  readonly model: string;
  /** Settings, images and facts of the machine that decide what the numbers of a step are. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Of the files of the training images; checkpoints of earlier versions have none. */
  readonly images?: DataStamp;
}

interface StateFile extends CheckpointPosition {
  readonly schema: 'lowrank.checkpoint/1';
  readonly identity: CheckpointIdentity;
  /** SHA-256 of state.safetensors: a torn checkpoint is recognized by it. */
  readonly sha256: string;
}

const names = { model: 'model.onnx', state: 'state.safetensors', position: 'state.json' } as const;
const prefix = 'step-';

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
  ): string;
  /** A checkpoint that stays when newer ones come. */
  keep(step: number): void;
  /** The best so far, which stays until a better one comes. */
  keepBest(step: number): void;
  /** Removes the checkpoint of a step, whose weights turned out to be worthless. */
  drop(step: number): void;
}

/** Removes what killed processes left of checkpoints that were not whole: one process at a time writes here. */
export function openCheckpoints(path: string, keepLast: number): CheckpointFolder {
  if (existsSync(path)) {
    for (const name of readdirSync(path)) {
      if (/^\.step-\d+/.test(name)) rmSync(join(path, name), { recursive: true, force: true });
    }
  }
  const kept = new Set<string>();
  let best: string | undefined;
  const list = (): string[] => {
    if (!existsSync(path)) return [];
    const folders = readdirSync(path).filter((name) => /^step-\d+$/.test(name));
    return folders
      .sort()
      .reverse()
      .map((name) => join(path, name));
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
      rmSync(join(path, nameOf(step)), { recursive: true, force: true });
    },
    write(state, position, identity, model) {
      const final = join(path, nameOf(position.step));
      const staging = join(path, `.${nameOf(position.step)}.${process.pid}`);
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
          sha256: createHash('sha256').update(bytes).digest('hex'),
        };
        writeFileWhole(join(staging, names.position), `${JSON.stringify(file, undefined, 2)}\n`);
        // The same step again: the old one makes place only when the new one is whole.
        const replaced = join(path, `.${nameOf(position.step)}.replaced`);
        rmSync(replaced, { recursive: true, force: true });
        if (existsSync(final)) renameSync(final, replaced);
        renameSync(staging, final);
        rmSync(replaced, { recursive: true, force: true });
      } catch (error) {
        rmSync(staging, { recursive: true, force: true });
        throw unwritable(path, position.step, list()[0], error);
      }
      for (const old of list().slice(keepLast)) {
        if (!kept.has(basename(old)) && basename(old) !== best) rmSync(old, { recursive: true, force: true });
      }
      return final;
    },
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
}

/**
 * Reads the newest whole checkpoint of the list; torn ones are passed over with a warning that says why.
 * Throws USAGE where it belongs to another model, other settings or other images (`requireSameImages`), INPUT where none is whole.
 */
export function readNewest(
  paths: readonly string[],
  identity: CheckpointIdentity,
  isStrict: boolean | undefined,
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
    requireSame(path, read.file.identity, identity);
    requireSameImages(path, read.file.identity.images, identity.images, isStrict);
    for (const name of ['parameters', 'statistics', 'state', 'ema'] as const) {
      if (read.state[name].length === lengths[name]) continue;
      throw new LowrankError('USAGE', `the checkpoint has ${read.state[name].length} ${name}, not ${lengths[name]}`, {
        place: path,
        remedy: 'resume with the model and the settings of that training',
      });
    }
    return { path, state: read.state, position: read.file };
  }
  throw new LowrankError('INPUT', reasons[0] ?? 'there is no checkpoint to resume from', {
    remedy: 'train without --resume',
  });
}

function readCheckpoint(path: string): { readonly file: StateFile; readonly state: TrainingState } {
  const file = JSON.parse(readFileSync(join(path, names.position), 'utf8')) as Partial<StateFile>;
  if (file.schema !== 'lowrank.checkpoint/1') {
    throw new LowrankError('FORMAT', `state.json is '${String(file.schema)}'`, { place: path });
  }
  const statePath = join(path, names.state);
  const digest = createHash('sha256').update(readFileSync(statePath)).digest('hex');
  if (digest !== file.sha256)
    throw new LowrankError('FORMAT', 'state.safetensors is not what was written', { place: path });
  const { tensors } = readSafetensors(statePath);
  const vector = (name: string): Float32Array => {
    const data = tensors.get(name)?.data;
    if (data instanceof Float32Array) return data;
    throw new LowrankError('FORMAT', `state.safetensors has no '${name}'`, { place: path });
  };
  return {
    file: file as StateFile,
    state: {
      parameters: vector('parameters'),
      statistics: vector('statistics'),
      state: vector('state'),
      ema: vector('ema'),
    },
  };
}

function requireSame(path: string, found: CheckpointIdentity, expected: CheckpointIdentity): void {
  if (found.model !== expected.model) {
    throw new LowrankError('USAGE', 'the checkpoint is of another model', {
      place: path,
      remedy: 'give the model that the training began with, or train without --resume',
    });
  }
  // What an earlier version did not know had its default.
  const before: Readonly<Record<string, unknown>> = {
    ...expected.settings,
    ...defaultTrainSettings,
    ...found.settings,
  };
  const other = Object.keys(expected.settings).find(
    (key) => JSON.stringify(before[key]) !== JSON.stringify(expected.settings[key]),
  );
  if (other === undefined) return;
  const [was, is] = [before[other], expected.settings[other]].map((value) => JSON.stringify(value));
  throw new LowrankError('USAGE', `the checkpoint was trained with ${other} ${was}, not ${is}`, {
    place: path,
    remedy: 'resume with the same settings, images and machine, or begin anew from its model.onnx',
  });
}
