import { dirname, resolve } from 'node:path';
import { LowrankError } from '../errors.js';
import { initNames, inits } from '../factorize/inits/index.js';
import type { InitName } from '../factorize/types.js';
import { type Study, treatmentsOf } from '../study/study.js';
import type { TrainSettings } from '../training/options.js';
import { checkKeys, entriesOf, type KnownEntry, readYaml } from './config-file.js';
import { command as convertCommand } from './convert.js';
import {
  checkValue,
  kebabCase,
  mergeSettings,
  type GivenValues,
  type OptionDefinition,
  type OptionTable,
  type SettingsOf,
} from './options.js';
import { adaptOptions } from './adapt-options.js';
import {
  adaptSettings,
  adaptTable,
  checkTreatments,
  fullEpochs,
  recoverSettings,
  recoverTable,
  treatmentOf,
} from './study-recovery.js';
import { architectureOf, usage } from './study-architectures.js';
import { asMapping, regularizerOf } from './study-regularizers.js';
import { settingsFor, trainOptions } from './train-settings.js';

/** Options of `train` that a study sets itself, or that belong to a single training. */
const ownTraining = new Set([
  ...['data', 'val', 'classes', 'output', 'force', 'resume', 'strict', 'lrFind', 'tensorboard', 'report'],
  ...['seed', 'weightDecay', 'frobeniusDecay', 'warmupFull', 'then', ...Object.keys(adaptOptions)],
]);
const trainTable: OptionTable = Object.fromEntries(
  Object.entries(trainOptions).filter(([name]) => !ownTraining.has(name)),
);

/** Options of `convert` that all cells may share. */
const sharedConversion = new Set([
  ...[
    'rankBase',
    'rankMultiple',
    'minRank',
    'allowBigger',
    'scheme',
    'include',
    'exclude',
    'factorizePairs',
    'keepFirst',
    'keepLast',
  ],
  ...['fitSteps', 'fitBatch', 'fitLr', 'fitSchedule'],
]);
const convertTable: OptionTable = Object.fromEntries(
  Object.entries<OptionDefinition>(convertCommand.options).filter(([name]) => sharedConversion.has(name)),
);

const keysUnder = (parent: string, table: OptionTable): readonly (readonly [string, string])[] =>
  Object.keys(table).map((name) => [name, `${parent}.${kebabCase(name)}`]);

/** What messages call the options of `train` and `convert` that stand in a study file. */
export const studyKeys: Readonly<Record<string, string>> = Object.fromEntries([
  ...keysUnder('recover', recoverTable),
  ...keysUnder('train', trainTable),
  ...keysUnder('convert', convertTable),
  ['weightDecay', 'regularizers.weight-decay'],
  ['frobeniusDecay', 'regularizers.frobenius-decay'],
]);

/** Those that look at a trained model's images mean nothing for weights that are drawn afresh. */
const drawnInits = initNames.filter((name) => inits[name].needs === undefined);

const keys = {
  architectures: 'architectures',
  rankScales: 'rank-scales',
  inits: 'inits',
  treatments: 'treatments',
  regularizers: 'regularizers',
  seeds: 'seeds',
  fullRank: 'full-rank',
  compareTo: 'compare-to',
  data: 'data',
  val: 'val',
  convert: 'convert',
  train: 'train',
  recover: 'recover',
  adapt: 'adapt',
  warmupFull: 'warmup-full',
  retries: 'retries',
  keepModels: 'keep-models',
} as const;

/** What the command line says in place of the file. */
export interface StudyOverrides {
  readonly data?: string | undefined;
  readonly val?: string | undefined;
  readonly threads?: number | undefined;
}

/**
 * A study file. Paths in it are relative to its folder, those of `overrides` to the current one. Throws INPUT where it cannot be
 * read, USAGE for what no study can mean, with the path of the key.
 */
export async function readStudyFile(path: string, overrides: StudyOverrides): Promise<Study> {
  const mapping = await readYaml(path, 'study file', 'give the path of a study file, such as studies/cifar10.yaml');
  const given = new Map(entriesOf(mapping, Object.keys(keys), path).map((entry) => [entry.name, entry]));
  const get = (name: keyof typeof keys): KnownEntry | undefined => given.get(name);
  const scalar = (name: keyof typeof keys, definition: OptionDefinition): unknown => {
    const entry = get(name);
    return entry === undefined ? undefined : checkValue(definition, entry.value, entry.place);
  };
  const text = (name: keyof typeof keys, description: string): string | undefined =>
    scalar(name, { type: 'string', description }) as string | undefined;
  const here = (relative: string | undefined): string | undefined =>
    relative === undefined ? undefined : resolve(dirname(path), relative);

  const train = checkKeys(mappingOf(get('train')), trainTable, path, { parent: 'train.' });
  const threads = overrides.threads === undefined ? {} : { threads: overrides.threads };
  const settings = (own: GivenValues): Partial<TrainSettings> =>
    settingsFor(mergeSettings(trainOptions, { data: '', ...train, ...own }, threads) as TrainCommandSettings);
  const names = list(get('inits'), ['spectral', 'lfai'], (value, place) =>
    checkValue({ type: 'string', choices: drawnInits, description: '' }, value, place),
  ) as InitName[];
  const seeds = seedsOf(get('seeds'));
  const data = overrides.data ?? here(text('data', 'training images'));
  if (data === undefined) {
    throw new LowrankError('USAGE', "the study file has no 'data'", {
      place: `in ${path}`,
      remedy: 'name the training images in it, or with --data',
    });
  }
  const study: Study = {
    architectures: list(required(get('architectures'), 'architectures', path), [], (value, place, index) =>
      architectureOf(value, place, path, index, { settings, trainTable }),
    ),
    rankScales: list(get('rankScales'), [0.05, 0.1, 0.15, 0.2], (value, place) => {
      const scale = checkValue({ type: 'number', maximum: 1, description: '' }, value, place) as number;
      if (scale > 0) return scale;
      throw usage(`${scale} is out of range`, place, 'give rank scales from above 0 to 1');
    }),
    inits: names,
    treatments: list(get('treatments'), ['labels'], treatmentOf),
    regularizers: list(get('regularizers'), [{ 'weight-decay': 1e-4 }], (value, place, index) =>
      regularizerOf(value, place, path, index),
    ),
    seeds,
    fullRank:
      (scalar('fullRank', { type: 'boolean', default: false, description: '' }) as boolean | undefined) ?? false,
    compareTo: compareTo(scalar('compareTo', { type: 'string', choices: names, description: '' }), names),
    data,
    val: overrides.val ?? here(text('val', 'validation images')),
    convert: checkKeys(mappingOf(get('convert')), convertTable, path, { parent: 'convert.' }),
    train: settings({}),
    ...(get('recover') === undefined
      ? {}
      : { recover: recoverSettings(checkKeys(mappingOf(get('recover')), recoverTable, path, { parent: 'recover.' })) }),
    ...(get('adapt') === undefined
      ? {}
      : { adapt: adaptSettings(checkKeys(mappingOf(get('adapt')), adaptTable, path, { parent: 'adapt.' })) }),
    ...(get('warmupFull') === undefined ? {} : { warmupFull: scalar('warmupFull', fullEpochs) as number }),
    retries: (scalar('retries', { type: 'integer', minimum: 0, description: '' }) as number | undefined) ?? 1,
    keepModels:
      (scalar('keepModels', { type: 'boolean', default: false, description: '' }) as boolean | undefined) ?? false,
  };
  unique(
    study.architectures.map(({ name }) => name),
    'architectures',
    path,
  );
  unique(study.rankScales, 'rank-scales', path);
  unique(study.inits, 'inits', path);
  unique(treatmentsOf(study), 'treatments', path);
  unique(
    study.regularizers.map(({ name }) => name),
    'regularizers',
    path,
  );
  unique(study.seeds, 'seeds', path);
  checkTreatments(study, path);
  return study;
}

type TrainCommandSettings = SettingsOf<typeof trainOptions>;

function compareTo(given: unknown, names: readonly InitName[]): InitName | null {
  if (names.length < 2) return null;
  return (given as InitName | undefined) ?? (names.includes('spectral') ? 'spectral' : names[0]!);
}

function required(entry: KnownEntry | undefined, name: string, path: string): KnownEntry {
  if (entry !== undefined) return entry;
  throw usage(`the study file has no '${name}'`, `in ${path}`, 'see docs/study.md for what a study file holds');
}

function mappingOf(entry: KnownEntry | undefined): Readonly<Record<string, unknown>> {
  return entry === undefined ? {} : asMapping(entry.value, entry.place);
}

/** A list of at least one; a single value is a list of one. The place of an item is that of the list and its index. */
function list<Item>(
  entry: KnownEntry | undefined,
  preset: readonly unknown[],
  item: (value: unknown, place: string, index: number) => Item,
): readonly Item[] {
  const value = entry?.value ?? preset;
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (values.length === 0) throw usage('the list is empty', entry?.place ?? '', 'give at least one value');
  const place = (index: number): string => (entry?.place ?? '').replace(/^(key '[^']*)'/, `$1[${index}]'`);
  return values.map((each, index) => item(each, place(index), index));
}

function seedsOf(entry: KnownEntry | undefined): readonly number[] {
  if (entry === undefined || typeof entry.value === 'number') {
    const count = { type: 'integer', minimum: 1, maximum: 10_000, description: '' } as const;
    const seeds = entry === undefined ? 3 : (checkValue(count, entry.value, entry.place) as number);
    return Array.from({ length: seeds }, (_, seed) => seed);
  }
  const seed = { type: 'integer', minimum: 0, description: '' } as const;
  return list(entry, [], (value, place) => checkValue(seed, value, place) as number);
}

function unique(values: readonly (string | number)[], name: string, path: string): void {
  const twice = values.find((value, index) => values.indexOf(value) !== index);
  if (twice === undefined) return;
  throw usage(`'${twice}' is there twice`, `key '${name}' in ${path}`, 'keep one of the two, or give them names');
}
