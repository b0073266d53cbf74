import { adaptOptions } from './adapt-options.js';
import { LowrankError } from '../errors.js';
import { renderRecoverExplain, renderRecoverTable } from '../report/recover-table.js';
import { recoverHtml } from '../report/html/recover.js';
import { createTrainProgress } from '../report/train-progress.js';
import { explainRecovery } from '../recover/explain.js';
import { recover, recoverPaths } from '../recover/recover.js';
import { recoverRanges } from '../recover/ranges.js';
import { batchNormNames, recoverByNames, type RecoverSettings, teacherRunsNames } from '../recover/settings.js';
import { presetNames, type PresetName } from '../training/presets.js';
import type { CommandContext, CommandResult } from './command.js';
import { givenImageSettings, givenInputs } from './image-options.js';
import { flagOf, kebabCase, type OptionDefinition, type SettingsOf } from './options.js';
import { checkCommandPaths, writeReport } from './paths.js';
import { givenMatchSettings, matchOptions, refuseWithoutTeacher, withoutTeacher } from './teacher-options.js';
import { given, givenGraphSettings } from './training-options.js';
import { trainOptions } from './train-settings.js';

const group = 'Teacher';

const { teacher: teacherOption, ...followOptions } = matchOptions;

/** What a training towards another model knows beside what every training does. */
const teacherOptions = {
  teacher: teacherOption,
  steps: {
    ...recoverRanges.steps,
    group,
    description: 'updates with --teacher (default: 600 to 3,000, the more the smaller the model)',
  },
  ...followOptions,
  recoverBy: {
    type: 'string',
    choices: recoverByNames,
    group,
    description:
      'train the whole model, block by block without a way back through the others, or both (default: whole)',
  },
  teacherRuns: {
    type: 'string',
    choices: teacherRunsNames,
    group,
    description: 'with every update, or once over the pictures as they are (default: auto, by the memory)',
  },
  batchNorm: {
    type: 'string',
    choices: batchNormNames,
    group,
    description:
      'BatchNormalization by its running statistics, or by those of batches (default: auto, frozen below 10,000 pictures)',
  },
} as const;

export const commandOptions = {
  ...trainOptions,
  preset: {
    ...trainOptions.preset,
    choices: [...presetNames, 'recover'],
  },
  ...teacherOptions,
} as const;

type Settings = SettingsOf<typeof commandOptions>;
type Context = CommandContext<{ readonly model: string }, Settings>;

/** What only a training on labels knows. */
const ofLabels = [
  ...(['resume', 'lrFind', 'newHead', 'insertBn', 'strict', 'tensorboard'] as const),
  ...([
    'epochs',
    'accumulate',
    'microBatch',
    'warmup',
    'schedule',
    'minLr',
    'decayEvery',
    'decayAt',
    'decayFactor',
    'ema',
    'lrTrials',
    'retreats',
  ] as const),
  ...(['warmupFull', 'then'] as const),
  ...(Object.keys(adaptOptions) as (keyof typeof adaptOptions)[]),
  ...(['cacheImages', 'checkpointEvery', 'keepCheckpoints', 'saveEvery'] as const),
] satisfies readonly (keyof typeof trainOptions)[];

const instead: Readonly<Record<string, string>> = {
  epochs: 'give --steps instead',
  resume: 'begin again without it: the start is never lost, and Ctrl-C writes the closest so far',
  lrFind: 'leave it out: the learning rate is tried before, unless --lr says it',
  lrTrials: 'leave it out: the learning rate is tried before, unless --lr says it',
};

/** The preset of a training on labels, or undefined; whether a teacher is followed. Throws USAGE for options that do not go together. */
export function presetFor(settings: Settings, names: ReadonlySet<string>): PresetName | undefined {
  const { preset, teacher } = settings;
  if (teacher === undefined) {
    refuseWithoutTeacher(names, Object.keys(teacherOptions));
    if (preset === 'recover') throw withoutTeacher('--preset recover');
    return preset;
  }
  if (preset !== undefined && preset !== 'recover') {
    throw new LowrankError('USAGE', `--preset ${preset} is for a training on labels, and --teacher needs none`, {
      remedy: 'leave --preset out',
    });
  }
  const stranger = ofLabels.find((name) => names.has(name));
  if (stranger === undefined) return undefined;
  const { default: usual }: OptionDefinition = trainOptions[stranger];
  const flag = usual === true ? `--no-${kebabCase(stranger)}` : flagOf(stranger);
  throw new LowrankError('USAGE', `${flag} does not go with --teacher`, {
    remedy: instead[stranger] ?? 'leave it out',
  });
}

/** Trains towards the teacher. */
export async function runRecovery(context: Context, teacher: string): Promise<CommandResult> {
  const { settings, signal } = context;
  const { model } = context.arguments;
  const { data } = settings;
  if (data === undefined) {
    throw new LowrankError('USAGE', 'the pictures are missing', { remedy: 'name them with --data' });
  }
  const progress = createTrainProgress({
    ...{ stream: process.stderr, enabled: !context.isQuiet },
    preparing: { progress: context.progress, detail: model },
  });
  const call = {
    ...{ model, teacher, data, val: settings.val, classes: settings.classes, force: settings.force },
    output: settings.output ?? model.replace(/(\.onnx)?$/, '.trained.onnx'),
    settings: recoverSettingsFor(settings),
    maxMemory: settings.maxMemory,
    command: context.commandLine,
    ...{ signal, progress },
  };
  if (settings.explain) {
    const explained = await explainRecovery(call);
    return { document: explained, text: (terminal) => renderRecoverExplain(explained, terminal) };
  }
  const { report: page } = settings;
  checkCommandPaths({ config: context.configPath, report: page }, recoverPaths(call), settings.force);
  const report = await recover(call);
  if (page !== undefined) {
    await writeReport(page, () => recoverHtml(report), report.output?.path);
    context.note(`report: ${page}`);
  }
  return { document: report, text: (terminal) => renderRecoverTable(report, terminal) };
}

/** The settings of options that were given. */
export function recoverSettingsFor(settings: Settings): Partial<RecoverSettings> {
  return {
    ...given({
      steps: settings.steps,
      recoverBy: settings.recoverBy,
      teacherRuns: settings.teacherRuns,
      batchNorm: settings.batchNorm,
      batchSize: settings.batchSize,
      lr: settings.lr,
      augment: settings.augment,
      minScale: settings.minScale,
      flip: settings.flip,
      seed: settings.seed,
      maxBad: settings.maxBad,
      device: settings.device,
      target: settings.target,
      allowCpuNodes: settings.allowCpuNodes,
      tf32: settings.tf32,
      nhwc: settings.nhwc,
      convSearch: settings.convSearch,
      cudaGraphs: settings.cudaGraphs,
      gpuMemory: settings.gpuMemory === undefined ? undefined : settings.gpuMemory * 2 ** 20,
      threads: settings.threads,
      workers: settings.workers,
    }),
    ...givenMatchSettings(settings),
    ...givenImageSettings(settings),
    ...givenInputs(settings.input),
    ...givenGraphSettings(settings),
  };
}
