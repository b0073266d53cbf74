import type { ImageSettings } from '../images/image-settings.js';
import { augmentNames, convSearchNames, type TrainSettings } from '../training/options.js';
import { presetNames, withPreset } from '../training/presets.js';
import { trainRanges } from '../training/ranges.js';
import { type GraphSettings, halfTypeOf } from '../step/settings.js';
import { targetNames } from '../lower/target.js';
import type { AdaptSettings } from '../adapt/settings.js';
import { adaptOptions, givenAdaptSettings } from './adapt-options.js';
import { givenImageSettings, givenInputs, imageOptions, inputOption } from './image-options.js';
import type { SettingsOf } from './options.js';
import { epochsOf, scheduleOptions } from './schedule-options.js';
import { given, givenGraphSettings, graphOptions } from './training-options.js';
import { givenWarmup, warmupOptions } from './warmup-options.js';
import { decodeOptions, memoryOption, microBatchOf, threadsOption } from './running-options.js';

const schedule = 'Schedule';
const images = 'Images';
const running = 'Running';

const cuda = 'CUDA';
const cudaOptions = {
  tf32: { type: 'boolean', default: true, group: cuda, description: 'no TensorFloat-32 in products of float32' },
  nhwc: { type: 'boolean', default: false, group: cuda, description: 'convolutions with the channels last' },
  cudaGraphs: {
    type: 'boolean',
    default: false,
    group: cuda,
    description: 'record the runs of a step and replay them',
  },
  convSearch: {
    type: 'string',
    choices: convSearchNames,
    group: cuda,
    description: "how cuDNN's algorithm of a convolution is found (default: exhaustive)",
  },
  gpuMemory: {
    type: 'integer',
    minimum: 1,
    group: cuda,
    placeholder: 'MiB',
    description: 'most device memory that is taken (default: all)',
  },
} as const;

/** Every option of the command. */
export const trainOptions = {
  data: {
    type: 'string',
    placeholder: 'path',
    description: 'training images: class folders, ILSVRC tars, WebDataset shards, parquet, CIFAR or MNIST files',
  },
  val: {
    type: 'string',
    placeholder: 'path',
    description: 'validation images (default: the part of --data for validation)',
  },
  output: {
    type: 'string',
    short: 'o',
    placeholder: 'path',
    description:
      'where to write the best epoch by the validation images, or the last without any (default: <model>.trained.onnx)',
  },
  force: { type: 'boolean', default: false, description: 'replace an existing output, and begin anew' },
  resume: {
    type: 'boolean',
    default: false,
    description:
      'go on from the newest checkpoint beside the output, with all that it was told: give only what shall change',
  },
  strict: {
    type: 'boolean',
    description: 'hash the images, so that --resume compares what is in them; --no-strict: the sizes of files alone',
  },
  preset: { type: 'string', choices: presetNames, description: 'settings to begin with; options given here win' },
  lrFind: {
    type: 'boolean',
    default: false,
    description: 'try learning rates from 1e-6 to 1 over 100 updates, suggest one, and write nothing',
  },
  explain: {
    type: 'boolean',
    default: false,
    description: 'print what is chosen for this training, and why, and train nothing',
  },
  newHead: {
    type: 'boolean',
    default: false,
    description: 'replace the last dense layer by a fresh one for the classes of the images',
  },
  insertBn: {
    type: 'boolean',
    default: false,
    description: 'train with BatchNormalization where it was folded into convolutions; it is folded again at the end',
  },
  classes: {
    type: 'string',
    placeholder: 'file',
    description: "class list in the order of the model's outputs (text or JSON)",
  },
  epochs: { ...trainRanges.epochs, group: schedule, description: 'passes over the images (default: 10)' },
  batchSize: { ...trainRanges.batchSize, group: schedule, description: 'images of one run (default: 32)' },
  accumulate: {
    ...trainRanges.accumulate,
    group: schedule,
    description: 'runs whose gradients are averaged for one update (default: 1)',
  },
  microBatch: {
    type: 'string',
    placeholder: 'auto|n',
    group: schedule,
    description:
      'images of one run where a batch takes too much memory, with the same update; auto tries (default: all)',
  },
  lr: {
    ...trainRanges.lr,
    group: schedule,
    description: 'largest learning rate (default: 0.01; fine-tune tries)',
  },
  lrTrials: {
    type: 'boolean',
    group: schedule,
    description:
      'try learning rates up to --lr in short trainings, and take the best (default: with --preset fine-tune)',
  },
  ...scheduleOptions,
  ...graphOptions,
  ...adaptOptions,
  ema: {
    ...trainRanges.ema,
    group: 'Optimization',
    placeholder: 'decay',
    description: 'validate and write moving averages of the weights (default: none)',
  },
  ...imageOptions(images),
  ...inputOption(images),
  augment: {
    type: 'string',
    choices: augmentNames,
    group: images,
    description:
      'random resized crop, or crop after padding by 4 (CIFAR), or none (default: crop; with --preset fine-tune by the number of images)',
  },
  minScale: {
    ...trainRanges.minScale,
    group: images,
    description: 'smallest share of the area that a random crop keeps (default: 0.08)',
  },
  flip: { type: 'boolean', default: true, group: images, description: 'do not mirror images at random' },
  cacheImages: {
    type: 'integer',
    minimum: 0,
    group: images,
    formerly: ['cache'],
    placeholder: 'MiB',
    description: 'memory for decoded images, so that later epochs decode nothing (default: 0)',
  },
  retreats: {
    ...trainRanges.retreats,
    group: schedule,
    placeholder: 'n',
    description:
      'times that it goes back to earlier weights, with half of the rate, where an epoch is far below the start (default: 0, with --preset fine-tune 5)',
  },
  ...warmupOptions,
  seed: { ...trainRanges.seed, group: running, description: 'seed of everything random (default: 0)' },
  checkpointEvery: {
    ...trainRanges.checkpointEvery,
    group: running,
    placeholder: 'updates',
    description: 'updates between two checkpoints (default: at the end of every epoch)',
  },
  keepCheckpoints: {
    ...trainRanges.keepCheckpoints,
    group: running,
    placeholder: 'n',
    description: 'newest checkpoints that stay, beside the best (default: 2)',
  },
  saveEvery: {
    ...trainRanges.saveEvery,
    group: running,
    placeholder: 'epochs',
    description: "every n-th epoch's checkpoint stays for good",
  },
  device: {
    type: 'string',
    choices: ['cpu', 'cuda'],
    group: running,
    description: 'where the training runs (default: cpu)',
  },
  allowCpuNodes: {
    type: 'boolean',
    default: false,
    group: running,
    description: 'train on cuda even where some nodes run on the CPU: slower, and each of them is named',
  },
  target: {
    type: 'string',
    choices: targetNames,
    group: running,
    description: 'form of the training graph: the fast one of a device, or standard operators only (default: cpu)',
  },
  ...cudaOptions,
  threads: threadsOption(running),
  maxMemory: memoryOption(running),
  ...decodeOptions(images, running),
  tensorboard: { type: 'string', group: running, placeholder: 'folder', description: 'write TensorBoard events' },
  report: { type: 'string', group: running, placeholder: 'file.html', description: 'write an HTML report' },
} as const;

/** Settings whose options have other names. */
const optionNames: ReadonlyMap<string, string> = new Map([
  ['cache', 'cacheImages'],
  ['conversion', 'then'],
]);

/** What a training that goes on is told: a preset has told it all before. */
export function givenSettings(
  settings: SettingsOf<typeof trainOptions>,
  given: ReadonlySet<string>,
): Partial<TrainSettings> {
  const isGiven = (name: string): boolean => given.has(optionNames.get(name) ?? name);
  return Object.fromEntries(Object.entries(chosenSettings(settings)).filter(([name]) => isGiven(name)));
}

/** What a training is started with: the preset, and over it what was given. */
export function settingsFor(settings: SettingsOf<typeof trainOptions>): Partial<TrainSettings> {
  return withPreset(settings.preset, chosenSettings(settings));
}

/** Settings that no other command has: each of them is an option. */
type OwnSetting = Exclude<keyof TrainSettings, keyof GraphSettings | keyof ImageSettings | keyof AdaptSettings>;

/** The settings of options that were given. */
export function chosenSettings(settings: SettingsOf<typeof trainOptions>): Partial<TrainSettings> {
  return {
    ...given({
      epochs: settings.epochs,
      batchSize: settings.batchSize,
      accumulate: settings.accumulate,
      microBatch: microBatchOf(settings.microBatch),
      lr: settings.lr,
      lrTrials: settings.lrTrials,
      retreats: settings.retreats,
      warmup: settings.warmup,
      schedule: settings.schedule,
      minLr: settings.minLr,
      decayEvery: settings.decayEvery,
      decayAt: epochsOf(settings.decayAt),
      decayFactor: settings.decayFactor,
      ema: settings.ema,
      augment: settings.augment,
      minScale: settings.minScale,
      maxBad: settings.maxBad,
      cache: settings.cacheImages === undefined ? undefined : settings.cacheImages * 2 ** 20,
      convSearch: settings.convSearch,
      gpuMemory: settings.gpuMemory === undefined ? undefined : settings.gpuMemory * 2 ** 20,
      seed: settings.seed,
      checkpointEvery: settings.checkpointEvery,
      keepCheckpoints: settings.keepCheckpoints,
      saveEvery: settings.saveEvery,
      device: settings.device,
      // The fast form for CPUs has no half precision.
      target: settings.target ?? (halfTypeOf(settings.precision) === undefined ? undefined : 'portable'),
      threads: settings.threads,
      workers: settings.workers,
      flip: settings.flip,
      tf32: settings.tf32,
      nhwc: settings.nhwc,
      cudaGraphs: settings.cudaGraphs,
      allowCpuNodes: settings.allowCpuNodes,
      newHead: settings.newHead,
      insertBn: settings.insertBn,
      ...givenWarmup(settings),
    } satisfies Record<OwnSetting, unknown>),
    ...givenImageSettings(settings),
    ...givenInputs(settings.input),
    ...givenGraphSettings(settings),
    ...givenAdaptSettings(settings),
  };
}
