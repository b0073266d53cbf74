import { existsSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import type { CheckpointCall } from '../contracts/checkpoint.js';
import { defaultTrainSettings, type TrainOptions, type TrainSettings } from './options.js';

/** What a checkpoint says that a training was told. */
export interface SavedCall extends CheckpointCall {
  readonly settings: TrainSettings;
}

const texts = ['val', 'classes', 'tensorboard', 'report'] as const;

/** The call as checkpoints save it. */
export function savedCallOf(
  { data, val, classes, tensorboard, report, strict, maxMemory }: TrainOptions & { readonly data: string },
  settings: TrainSettings,
): SavedCall {
  return {
    folder: process.cwd(),
    data,
    val: val ?? null,
    classes: classes ?? null,
    tensorboard: tensorboard ?? null,
    report: report ?? null,
    strict: strict ?? null,
    maxMemory: maxMemory ?? null,
    settings,
  };
}

/** Whether a value from a file is a saved call; whether its settings make sense is for `checkTrainSettings` to say. */
export function isSavedCall(value: unknown): value is SavedCall {
  if (!isObject(value)) return false;
  const { folder, data, strict, maxMemory, settings } = value;
  return (
    typeof folder === 'string' &&
    typeof data === 'string' &&
    texts.every((name) => value[name] === null || typeof value[name] === 'string') &&
    (strict === null || typeof strict === 'boolean') &&
    (maxMemory === null || typeof maxMemory === 'number') &&
    isObject(settings) &&
    areSettings(settings)
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const lists: ReadonlySet<string> = new Set([
  'inputs',
  'decay',
  'freeze',
  'trainAlso',
  'include',
  'exclude',
  'mean',
  'std',
  'decayAt',
] satisfies (keyof TrainSettings)[]);

/** Settings whose default is nothing, and that are no numbers. */
const kinds: ReadonlyMap<string, readonly string[]> = new Map<keyof TrainSettings, readonly string[]>([
  ['microBatch', ['number', 'string']],
  ['stretch', ['boolean']],
  ['interpolation', ['string']],
  ['normalization', ['string']],
  ['adaptRanks', ['string']],
  ['warmupFull', ['number', 'string']],
  ['conversion', ['object']],
]);

/** Whether the values of settings are of the kinds that there are: a list where one belongs, else a scalar of the default's type. */
export function areSettings(settings: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(defaultTrainSettings).every(([name, usual]) => {
    const value = settings[name];
    if (value === undefined || (value === null && (usual === null || lists.has(name)))) return true;
    if (lists.has(name)) {
      const type = name === 'mean' || name === 'std' || name === 'decayAt' ? 'number' : 'string';
      return Array.isArray(value) && value.every((item) => typeof item === type);
    }
    return (kinds.get(name) ?? [usual === null ? 'number' : typeof usual]).includes(typeof value);
  });
}

/** The settings that this version knows; those that the version before did not know have their defaults. */
export function knownSettings(settings: object): TrainSettings {
  const known = Object.entries(settings).filter(([name]) => Object.hasOwn(defaultTrainSettings, name));
  return { ...defaultTrainSettings, ...Object.fromEntries(known) };
}

/** The paths of a saved call as they are found from here: from where it was made, unless that folder has gone. */
export function placed<Path extends string | null>(path: Path, folder: string): Path {
  if (path === null || isAbsolute(path) || folder === process.cwd() || !existsSync(folder)) return path;
  return join(folder, path) as Path;
}
