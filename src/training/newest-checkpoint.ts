import { LowrankError, messageOf } from '../errors.js';
import { checkpointsOf, listCheckpoints } from './checkpoint.js';
import type { CheckpointIdentity, CheckpointPosition } from '../contracts/checkpoint.js';
import { readCheckpoint, readState, type StateFile } from './checkpoint-file.js';
import { type Comparison, type Difference, requireSameTraining } from './same-training.js';
import type { SavedCall } from './saved-call.js';
import type { TrainingState } from '../step/vectors.js';

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
      return readState(path);
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
