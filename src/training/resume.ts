import { LowrankError } from '../errors.js';
import type { StateFile } from './checkpoint-file.js';
import { newestState } from './newest-checkpoint.js';
import { cudaFlags, defaultTrainSettings, type TrainCall, type TrainOptions, type TrainSettings } from './options.js';
import { knownSettings, placed, type SavedCall } from './saved-call.js';

/** Settings of the machine: with a device that is named, a training goes on with others. */
const ofMachine: ReadonlySet<string> = new Set([
  'device',
  'target',
  'threads',
  ...cudaFlags.map(([name]) => name),
] satisfies (keyof TrainSettings)[]);

/** What a checkpoint is compared by that is neither a setting nor of the machine. */
const ofTraining: ReadonlySet<string> = new Set(['images', 'validation', 'preset']);

/**
 * What a training is told, completed: by defaults or, with `resume`, by its newest checkpoint. Throws USAGE where the images
 * are missing, INPUT where there is no checkpoint to resume from.
 */
export function completeCall(options: TrainOptions): TrainCall {
  const { data } = options;
  if (options.resume === true) return resumedCall(options);
  if (data === undefined) throw noImages();
  const settings = { ...defaultTrainSettings, ...options.settings };
  return { ...options, data, settings, mayDiffer: () => false };
}

/** What the caller says over what the checkpoint says. */
function resumedCall(options: TrainOptions): TrainCall {
  const state = newestState(options.output);
  const saved = withSaved(options, state.call);
  const { data, exact = false } = saved;
  if (data === undefined) throw noImages();
  const given = Object.fromEntries(
    Object.entries(options.settings ?? {}).filter(([, value]) => value !== undefined),
  ) as Partial<TrainSettings>;
  const isElsewhere = !exact && given.device !== undefined;
  return {
    ...saved,
    data,
    preset: options.preset ?? presetOf(state),
    settings: { ...(isElsewhere ? portedSettings(state, given) : settingsOf(state)), ...untried(given), ...given },
    mayDiffer: (key) => !exact && (key === 'epochs' || (isElsewhere && isOfMachine(key))),
  };
}

/** The options with the paths of a saved call where none are given. */
export function withSaved(options: TrainOptions, saved: SavedCall | undefined): TrainOptions {
  if (saved === undefined) return options;
  const path = (name: 'data' | 'val' | 'classes' | 'tensorboard' | 'report'): string | undefined =>
    options[name] ?? placed(saved[name], saved.folder) ?? undefined;
  return {
    ...options,
    data: path('data'),
    val: path('val'),
    classes: path('classes'),
    tensorboard: path('tensorboard'),
    report: path('report'),
    strict: options.strict ?? saved.strict ?? undefined,
    maxMemory: options.maxMemory ?? saved.maxMemory ?? undefined,
  };
}

/** A rate that is given is not searched for. */
function untried({ lr }: Partial<TrainSettings>): Partial<TrainSettings> {
  return lr === undefined ? {} : { lrTrials: false };
}

/** As many threads as there were: with others the sums are others. */
function settingsOf({ call, identity }: StateFile): TrainSettings {
  const { threads } = identity.settings;
  const settings = knownSettings(call?.settings ?? identity.settings);
  return typeof threads === 'number' ? { ...settings, threads } : settings;
}

/** The settings as they are for another machine: without what only the old device knows. */
function portedSettings({ call, identity }: StateFile, { device }: Partial<TrainSettings>): TrainSettings {
  const settings = { ...knownSettings(call?.settings ?? identity.settings), threads: call?.settings.threads ?? null };
  if (device === 'cuda') return settings;
  const usual = cudaFlags.map(([name]) => [name, defaultTrainSettings[name]]);
  return { ...settings, ...Object.fromEntries(usual), allowCpuNodes: false };
}

function presetOf({ identity }: StateFile): string | undefined {
  const { preset } = identity.settings;
  return typeof preset === 'string' ? preset : undefined;
}

function isOfMachine(key: string): boolean {
  return ofMachine.has(key) || !(Object.hasOwn(defaultTrainSettings, key) || ofTraining.has(key));
}

function noImages(): LowrankError {
  return new LowrankError('USAGE', 'the training images are missing', { remedy: 'name them with --data' });
}

/** The same error, with where the training can go on. */
export function resumable(error: LowrankError, checkpoint: string | undefined): LowrankError {
  if (checkpoint === undefined) return error;
  return new LowrankError(error.code, error.fact, {
    ...(error.place === undefined ? {} : { place: error.place }),
    remedy: `${error.remedy === undefined ? '' : `${error.remedy}; `}go on with --resume, from ${checkpoint}`,
    cause: error,
  });
}
