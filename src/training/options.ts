import { restBetweenRuns, sessionOptionsOf } from '../runtime/threads.js';
import type { CudaOptions, Device, SessionOptions } from '../runtime/types.js';
import type { TrainReport } from '../contracts/train.js';
import type { TrainProgress } from '../report/train-progress.js';
import {
  adaptNames,
  adaptSchemes,
  type AdaptSettings,
  checkAdaptSettings,
  defaultAdaptSettings,
} from '../adapt/settings.js';
import { checkImageSettings, defaultImageSettings, type ImageSettings } from '../images/image-settings.js';
import { LowrankError } from '../errors.js';
import { trainRanges } from './ranges.js';
import { checkChoices, checkNames, checkRanges } from '../range.js';
import { checkGraphSettings, defaultGraphSettings, type GraphSettings } from '../step/settings.js';
import { checkDecayEpochs, type ScheduleName, scheduleNames } from './schedule.js';
import { type TargetName, targetNames } from '../lower/target.js';
import { checkWarmup } from './warmup-settings.js';

/** Every algorithm is timed at the first run; cuDNN's guess; the first one. */
export const convSearchNames = ['exhaustive', 'heuristic', 'default'] as const;
export type ConvSearchName = (typeof convSearchNames)[number];

/** Random resized crop and flip; crop after padding by 4 and flip (CIFAR); as in validation. */
export const augmentNames = ['crop', 'pad', 'none'] as const;
export type AugmentName = (typeof augmentNames)[number];

/** Everything that decides a training; see `lowrank-train --help` for what the settings mean. */
export interface TrainSettings extends GraphSettings, ImageSettings, AdaptSettings {
  readonly epochs: number;
  /** Images of one run of the gradient graph. */
  readonly batchSize: number;
  /** Batches whose gradients are averaged for an update. */
  readonly accumulate: number;
  /**
   * Images of one run where a batch does not fit into memory: `batchSize` is divided by it, `accumulate` multiplied.
   * `auto`: the largest that fits. null: the whole batch.
   */
  readonly microBatch: number | 'auto' | null;
  readonly lr: number;
  /** `lr` is the largest of the rates that are tried in short trainings before the first epoch, and the best of them is taken. */
  readonly lrTrials: boolean;
  /** Epochs in which the learning rate rises from 0. */
  readonly warmup: number;
  readonly schedule: ScheduleName;
  /** Where the cosine ends. */
  readonly minLr: number;
  /** `step`: epochs between two reductions, and what the rate is multiplied by. */
  readonly decayEvery: number;
  /** `step`: epochs behind which the rate is reduced, in the place of every so many; none: `decayEvery` counts. */
  readonly decayAt: readonly number[];
  readonly decayFactor: number;
  /** Decay of moving averages of weights and statistics, which are then validated and written; null: none. */
  readonly ema: number | null;
  readonly seed: number;
  /** `auto`: by the number of the training images and their size. */
  readonly augment: AugmentName | 'auto';
  /** Smallest share of the image's area that a random crop keeps. */
  readonly minScale: number;
  readonly flip: boolean;
  /** How often the training may go back to earlier weights, with half of the rate, where an epoch is far below the start; 0: never. */
  readonly retreats: number;
  readonly maxBad: number;
  /** Bytes of decoded images that are kept in memory; 0: none. */
  readonly cache: number;
  readonly newHead: boolean;
  /** Trains with BatchNormalization behind convolutions where it was folded away; what is written has it folded again. */
  readonly insertBn: boolean;
  /**
   * Epochs in full rank before the model is converted and its pairs are trained; `auto`: until the stable ranks of its layers have
   * settled. null: it is trained as it is.
   */
  readonly warmupFull: number | 'auto' | null;
  /** How it is converted then: `ThenOptions`. null: as `convert` does by default, with `auto` to what the stable ranks say. */
  readonly conversion: object | null;
  /** Updates between two checkpoints beside those at the end of every epoch; null: none between. */
  readonly checkpointEvery: number | null;
  /** Newest checkpoints that stay. */
  readonly keepCheckpoints: number;
  /** The checkpoint of every n-th epoch stays for good; null: of none. */
  readonly saveEvery: number | null;
  readonly device: Device;
  /** Whether nodes that the device has no kernel for may run on the CPU, at the cost of copies in every step. */
  readonly allowCpuNodes: boolean;
  /** CUDA: products of float32 in TensorFloat-32, whose factors have 11 digits (sums have 24). */
  readonly tf32: boolean;
  /** CUDA: onnxruntime runs convolutions with the channels last, and transposes where it must. */
  readonly nhwc: boolean;
  /** CUDA: how cuDNN's algorithm of each convolution is found. */
  readonly convSearch: ConvSearchName;
  /** CUDA: the runs of a step are recorded once and replayed, which saves what it costs to launch each node. */
  readonly cudaGraphs: boolean;
  /** CUDA: bytes that the arena of device memory may take; null: all there is. */
  readonly gpuMemory: number | null;
  /** Threads of onnxruntime; null: all cores. */
  readonly threads: number | null;
  /** Decode threads; null: one per core, at most 4. */
  readonly workers: number | null;
  readonly target: TargetName;
}

export const defaultTrainSettings: TrainSettings = {
  ...defaultGraphSettings,
  ...defaultImageSettings,
  inputs: [],
  ...defaultAdaptSettings,
  epochs: 10,
  batchSize: 32,
  accumulate: 1,
  microBatch: null,
  lr: 0.01,
  lrTrials: false,
  warmup: 0,
  schedule: 'cosine',
  minLr: 0,
  decayEvery: 30,
  decayAt: [],
  decayFactor: 0.1,
  ema: null,
  seed: 0,
  augment: 'crop',
  minScale: 0.08,
  flip: true,
  retreats: 0,
  maxBad: 0,
  cache: 0,
  newHead: false,
  insertBn: false,
  warmupFull: null,
  conversion: null,
  checkpointEvery: null,
  keepCheckpoints: 2,
  saveEvery: null,
  device: 'cpu',
  tf32: true,
  nhwc: false,
  cudaGraphs: false,
  convSearch: 'exhaustive',
  gpuMemory: null,
  allowCpuNodes: false,
  threads: null,
  workers: null,
  target: 'cpu',
};

/** What only CUDA knows, as settings and as options that change them. */
export const cudaFlags = [
  ['tf32', '--no-tf32'],
  ['nhwc', '--nhwc'],
  ['convSearch', '--conv-search'],
  ['cudaGraphs', '--cuda-graphs'],
  ['gpuMemory', '--gpu-memory'],
] as const;

const choices = {
  schedule: scheduleNames,
  augment: [...augmentNames, 'auto'],
  device: ['cpu', 'cuda'],
  target: targetNames,
  convSearch: convSearchNames,
  scheme: adaptSchemes,
} as const;

/** Throws USAGE for values that no training can mean. */
export function checkTrainSettings(settings: TrainSettings): void {
  checkNames(defaultTrainSettings, settings);
  checkRanges(trainRanges, settings);
  checkChoices(choices, settings);
  if (settings.adaptRanks !== null) checkChoices({ adaptRanks: adaptNames }, { adaptRanks: settings.adaptRanks });
  checkGraphSettings(settings);
  checkImageSettings(settings);
  requirePortable(settings.precision, settings.device === 'cuda' ? 'cuda' : settings.target);
  if (settings.cudaGraphs && settings.allowCpuNodes) {
    throw new LowrankError('USAGE', 'a CUDA graph holds what runs on the GPU alone', {
      place: '--cuda-graphs',
      remedy: 'leave out --allow-cpu-nodes',
    });
  }
  if (settings.nhwc && settings.precision === 'bfloat16') {
    throw new LowrankError('USAGE', "onnxruntime's convolutions with the channels last have no bfloat16", {
      place: '--nhwc',
      remedy: 'give --precision float16, or leave out --nhwc',
    });
  }
  checkDecayEpochs(settings);
  checkWarmup(settings);
  checkAdaptSettings(settings);
  requireDevice(settings);
}

/** Throws USAGE for what only CUDA knows on another device. */
export function requireDevice(settings: RunningSettings): void {
  if (settings.device === 'cuda') return;
  for (const [name, flag] of cudaFlags) {
    if (settings[name] === defaultTrainSettings[name]) continue;
    throw new LowrankError('USAGE', 'only CUDA knows this', {
      place: flag,
      remedy: 'give --device cuda, or leave it out',
    });
  }
}

/** Where and how graphs of a training run. */
export type RunningSettings = Pick<
  TrainSettings,
  | 'device'
  | 'allowCpuNodes'
  | 'tf32'
  | 'nhwc'
  | 'convSearch'
  | 'cudaGraphs'
  | 'gpuMemory'
  | 'threads'
  | 'workers'
  | 'target'
>;

/** How training images are changed at random. */
export type AugmentSettings = Pick<TrainSettings, 'augment' | 'minScale' | 'flip'>;

/** How sessions of a training are opened. What is onnxruntime's default is not said: its JavaScript API cannot. */
export function trainSessionOptions(settings: RunningSettings): SessionOptions {
  const { tf32, nhwc, convSearch, gpuMemory } = settings;
  const cuda: CudaOptions = {
    ...(tf32 ? {} : { useTf32: false }),
    ...(nhwc ? { preferNhwc: true } : {}),
    ...(convSearch === 'exhaustive'
      ? {}
      : { cudnnConvAlgoSearch: convSearch.toUpperCase() as Uppercase<ConvSearchName> }),
    ...(gpuMemory === null ? {} : { gpuMemLimit: gpuMemory }),
  };
  return {
    ...sessionOptionsOf(settings),
    // Gradient and update take turns.
    config: restBetweenRuns,
    ...(settings.device === 'cuda' ? { cuda } : {}),
  };
}

/** Throws USAGE where the fast form for CPUs is asked for in half precision. */
export function requirePortable(precision: GraphSettings['precision'], target: TargetName): void {
  if (precision === 'float32' || target !== 'cpu') return;
  throw new LowrankError('USAGE', `--target cpu is float32 alone, not ${precision}`, {
    remedy: 'give --target portable, or leave out --precision',
  });
}

export interface TrainOptions {
  readonly model: string;
  /** Where the trained model goes; checkpoints go beside it, into `<output>.checkpoints`. */
  readonly output: string;
  readonly force?: boolean;
  /** Training images: what `openSource` opens. With `resume` the default is what the checkpoint says. */
  readonly data?: string | undefined;
  /** Validation images; default: the part of `data` for validation, if it has one. */
  readonly val?: string | undefined;
  /** File of the classes in the order of the model's outputs. */
  readonly classes?: string | undefined;
  /**
   * Goes on from the newest checkpoint beside the output. What is not given is as the checkpoint says; settings that are given
   * must be the checkpoint's, but for those that may change: `epochs`, how often checkpoints are written, `workers`, `maxBad`, `cache`,
   * and with `device` all that is of the machine.
   */
  readonly resume?: boolean;
  /** With `resume`: it must go on bit for bit, so that neither `epochs` nor the machine may be others. Default false. */
  readonly exact?: boolean | undefined;
  /**
   * How it is known that the images are those that the training began with. true: by a hash of all that is in them, taken
   * before it begins; false: by the sizes of their files. Default: by a hash up to 256 MB, else by sizes and times.
   */
  readonly strict?: boolean | undefined;
  /** Folder for TensorBoard event files. */
  readonly tensorboard?: string | undefined;
  /** The page that the caller makes of the report: checkpoints know it, so that it is made where the training goes on. */
  readonly report?: string | undefined;
  /** The preset that the settings are of, for the record. */
  readonly preset?: string | undefined;
  readonly settings?: Partial<TrainSettings>;
  /** The epoch whose weights `output` gets: the best by the validation images, or the last. Default: `best`, where there are any. */
  readonly writes?: 'best' | 'last' | undefined;
  /** Whether the model is validated before the first update too. Default true. */
  readonly validatesStart?: boolean | undefined;
  readonly command?: string;
  /** The command line that goes on with the training, for the report of one that is interrupted. */
  readonly resumeCommand?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** MiB that the model may need at once; default: the memory of the machine. */
  readonly maxMemory?: number | undefined;
  readonly progress?: TrainProgress;
  readonly onEpoch?: (report: TrainReport['epochs'][number]) => void;
}

/** A training that knows all it is told: by its caller or, where it goes on, by its checkpoint. */
export interface TrainCall extends TrainOptions {
  readonly data: string;
  readonly settings: TrainSettings;
  /** Whether something that a checkpoint is compared by may be another than it was. */
  mayDiffer(key: string): boolean;
}
