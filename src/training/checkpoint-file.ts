import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { CheckpointIdentity, CheckpointPosition, CheckpointState } from '../contracts/checkpoint.js';
import type { FoundRate, TrainConversion, TrainStart } from '../contracts/train.js';
import { LowrankError } from '../errors.js';
import { fileSha256 } from '../files/hash.js';
import { drain } from '../files/pieces.js';
import { readRegularText } from '../files/regular.js';
import { encodeSafetensors, readSafetensors, type SafetensorsEntry } from '../files/safetensors.js';
import { writeFileWhole } from '../files/write-file.js';
import type { TrainingState } from '../step/vectors.js';
import { areSettings, isSavedCall, type SavedCall } from './saved-call.js';

/** What state.json says. */
export interface StateFile extends CheckpointState {
  readonly call?: SavedCall;
}

const names = { model: 'model.onnx', state: 'state.safetensors', position: 'state.json' } as const;

/** Writes the files of a checkpoint into its folder, which is there. `model` writes the model to a path. */
export function writeCheckpoint(
  folder: string,
  state: TrainingState,
  position: CheckpointPosition,
  identity: CheckpointIdentity,
  model: (path: string) => void,
  call: SavedCall | undefined,
): void {
  const bytes = encodeSafetensors(vectorsOf(state), { step: String(position.step) });
  writeFileWhole(join(folder, names.state), bytes);
  model(join(folder, names.model));
  const file: StateFile = {
    schema: 'lowrank.checkpoint/1',
    ...position,
    identity,
    ...(call === undefined ? {} : { call }),
    sha256: createHash('sha256').update(bytes).digest('hex'),
  };
  const summed: StateFile = { ...file, checksum: checksumOf(file) };
  writeFileWhole(join(folder, names.position), `${JSON.stringify(summed, undefined, 2)}\n`);
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

/** What a checkpoint holds. Throws FORMAT, INPUT where it is damaged or has gone. */
export function readCheckpoint(path: string): { readonly file: StateFile; readonly state: TrainingState } {
  const file = readState(path);
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

/** What the state.json of a checkpoint says. Throws FORMAT, INPUT where it is damaged or has gone. */
export function readState(checkpoint: string): StateFile {
  const path = join(checkpoint, names.position);
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
    (file.retreats === undefined || Array.isArray(file.retreats)) &&
    (file.rankRoom === undefined || isRoom(file.rankRoom)) &&
    (file.foundRate === undefined || typeof (file.foundRate as FoundRate | null)?.lr === 'number') &&
    (file.stableRanks === undefined || Array.isArray(file.stableRanks)) &&
    (file.conversion === undefined || Array.isArray((file.conversion as TrainConversion | null)?.layers)) &&
    (file.call === undefined || isSavedCall(file.call)) &&
    (checksum === undefined || checksum === checksumOf(file));
  if (!isWhole) throw new LowrankError('FORMAT', 'state.json is not what was written', { place: path });
  return file as StateFile;
}

function isSegment(value: unknown): boolean {
  const { index, name, tried, from, until } = (value ?? {}) as Readonly<Record<string, unknown>>;
  const areEpochs = [from, until].every((count) => count === undefined || Number.isSafeInteger(count));
  const isPlaced = Number.isSafeInteger(index) && (index as number) >= 0 && areEpochs;
  return isPlaced && typeof name === 'string' && typeof tried === 'number';
}

function isRoom(value: unknown): boolean {
  return Array.isArray(value) && value.every((rank) => Number.isSafeInteger(rank) && (rank as number) >= 1);
}

/** SHA-256 of what a state file says, as JSON without spaces. */
function checksumOf(file: Partial<StateFile>): string {
  const said = Object.fromEntries(Object.entries(file).filter(([key]) => key !== 'checksum'));
  return createHash('sha256').update(JSON.stringify(said)).digest('hex');
}
