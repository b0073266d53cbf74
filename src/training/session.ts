import { availableParallelism } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import type { ClassOrder } from '../contracts/images.js';
import type { ModelSummary } from '../contracts/convert.js';
import type { DataSummary } from '../contracts/train.js';
import type { TrainExplainReport } from '../contracts/train-explain.js';
import type { Loader } from '../data/loader.js';
import { type DataStamp, stampSource } from '../data/stamp.js';
import { summaryOf } from '../images/images.js';
import { checkedLimits, limitsOf } from '../limits.js';
import { loadDriver } from '../runtime/driver.js';
import { lengthOf } from '../step/flat.js';
import type { MaskInput } from '../contracts/artifacts.js';
import type { GradientGraph } from '../step/gradient-graph.js';
import type { LossScale } from '../step/loss-scale.js';
import { describeKept } from '../step/manifest.js';
import type { Prepared } from '../step/prepare.js';
import type { TrainingState } from '../step/vectors.js';
import type { Adaptation } from './adaptation.js';
import type { StateLayout } from '../step/laid-out.js';
import { type TrainCall, type TrainOptions, type TrainSettings, trainSessionOptions } from './options.js';
import { inOwnRuns } from './own-runs.js';
import { checkSchedule, scheduleOf } from './schedule.js';
import { openRateJudge, type RateJudge } from './rate-judge.js';
import { buildGraphs, graphContext, type SessionGraphs } from './session-graphs.js';
import {
  augmented,
  fingerprint,
  imageFactsOf,
  haveUsualChannels,
  loadersFor,
  noAugment,
  noCache,
  openImages,
  openLoader,
  requireImages,
} from './session-images.js';
import { openModel, summaryOfModel } from './session-model.js';
import { isEmulated, startTrainer, stateOfModel } from './session-start.js';
import { createValidator } from './session-validation.js';
import { trainedModel, type WriteTrained } from './session-write.js';
import type { Trainer } from './trainer.js';

/** What a training works with: images, graphs, sessions. */
export interface TrainingSession {
  readonly model: ModelSummary;
  /** With `augment` carried out. */
  readonly settings: TrainSettings;
  /** What is trained, and what of the stored tensors is not. */
  readonly parameters: TrainExplainReport['parameters'];
  readonly kept: TrainExplainReport['kept'];
  readonly data: { readonly train: DataSummary; readonly val: DataSummary | null };
  /** What the labels count in. */
  readonly classOrder: ClassOrder;
  readonly warnings: string[];
  readonly threads: number | null;
  /** What the numbers of a step depend on beside the settings: the machine, onnxruntime, the images; and what its epochs are compared by. */
  readonly conditions: Readonly<Record<string, unknown>>;
  /** Where the ranks of layers are found. */
  readonly adaptation: Adaptation | undefined;
  /** Of the files of the training images. */
  stampImages(content: 'always' | 'small' | 'never'): Promise<DataStamp>;
  readonly loader: Loader;
  /** Of one image, as the model takes it. */
  readonly imageDims: readonly number[];
  readonly stepsPerEpoch: number;
  readonly masks: readonly MaskInput[];
  /** As it is written for other programs: until the start, where half precision may become an emulation of it. */
  readonly gradient: GradientGraph;
  /** Whether the state lies on the device, and how many updates there are between two looks at the losses. */
  readonly isResident: boolean;
  readonly readEvery: number;
  /** Elements of the vectors of a training's state. */
  readonly lengths: { readonly [Name in keyof TrainingState]: number };
  readonly layout: StateLayout;
  readonly trainer: Trainer;
  /** The state of the model before the first update. */
  initial(): Promise<TrainingState>;
  /** Opens the sessions of onnxruntime, with the state of a checkpoint or of the model; those that were open are closed. */
  start(
    state: TrainingState | undefined,
    step: number,
    lossScale?: LossScale,
    rankRoom?: readonly number[],
  ): Promise<void>;
  /** Results on the validation images; undefined where there are none. Throws ABORTED. */
  validate(
    onProgress: (done: number, total: number) => void,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly loss: number; readonly top1: number; readonly top5: number | null } | undefined>;
  /** Opens what trials of learning rates are judged by. */
  openRateJudge(): RateJudge;
  /** Makes the model with the weights of a state, the moving averages where there are some, and gives what writes it. */
  modelOf(state: TrainingState): Promise<WriteTrained>;
  close(): Promise<void>;
}

/** What is to be closed, in the order in which it was opened. */
export type Closers = (() => unknown)[];

/** How a training is run, which changes nothing of its results. */
export interface RunMode {
  /** See `TrainerOptions`. */
  readonly isResident?: boolean | undefined;
  readonly readEvery?: number | undefined;
  readonly capture?: boolean | undefined;
  /** Images cross to the device as bytes, and are mirrored, laid out and normalized there. Default: except on the CPU. */
  readonly hasByteImages?: boolean | undefined;
}

/** What a run is opened with. */
export type SessionCall = TrainOptions &
  Pick<TrainCall, 'data'> & {
    /** What reports and checkpoints say of the model, where it was made of another while this was trained. */
    readonly origin?: ModelSummary;
  };

/** A mode without defaults. */
export type FullMode = { readonly [Name in keyof RunMode]-?: NonNullable<RunMode[Name]> };

/** Updates between two looks at the losses where these stay on the device. */
const residentReadEvery = 10;

/** Whether every update must be known to be finite before the next one begins. */
const isScaled = ({ precision }: TrainSettings): boolean => precision === 'float16';

/** Opens images and model, and emits the graphs. The caller closes the result. */
export async function openTrainingSession(
  options: SessionCall,
  settings: TrainSettings,
  mode: RunMode = {},
): Promise<TrainingSession> {
  const closers: Closers = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    return await openSession(options, settings, modeFor(settings, mode), closers, close);
  } catch (error) {
    await close();
    throw error;
  }
}

function modeFor(settings: TrainSettings, mode: RunMode): FullMode {
  const isOnDevice = settings.device !== 'cpu';
  const { isResident = isOnDevice, hasByteImages = isOnDevice, capture = settings.cudaGraphs } = mode;
  const isFree = isResident && !isScaled(settings) && settings.adaptRanks === null;
  const { readEvery = isFree ? residentReadEvery : 1 } = mode;
  return { isResident, hasByteImages, capture, readEvery };
}

async function openSession(
  options: SessionCall,
  told: TrainSettings,
  asked: FullMode,
  closers: Closers,
  close: () => Promise<void>,
): Promise<TrainingSession> {
  const { signal } = options;
  const limits = limitsOf(checkedLimits(options));
  const images = await openImages(options, told, closers);
  const { training, validation, order } = images;
  const driver = await loadDriver();
  const model = await openModel(options, told, images, limits, driver, closers);
  const { prepared } = model;
  requireImages(prepared, images);
  // Neither arrays nor bands, which may have 16 bits, cross to the device as bytes.
  const areBands = training.arrays === undefined && !haveUsualChannels(prepared);
  const areBytes = training.arrays === undefined && !areBands;
  const mode: FullMode = areBytes ? asked : { ...asked, hasByteImages: false };
  const { hasByteImages, isResident, readEvery } = mode;
  const settings = inOwnRuns(augmented(told, training, prepared), prepared.ownBatch);
  const warnings = [...model.warnings, ...training.warnings, ...(validation?.warnings ?? [])];
  if (settings.augment === 'none' && !['none', 'auto'].includes(told.augment)) warnings.push(noAugment(told));
  const context = await graphContext(settings, hasByteImages, driver);
  const graphs = await buildGraphs(prepared, settings, context, signal);
  const { target, gradient } = graphs;
  if (isEmulated(settings)) warnings.push(`${settings.precision} is emulated on CPU: right, but slower than float32`);
  const loaders = loadersFor(prepared, settings, hasByteImages);
  if (settings.cache > 0 && areBands) warnings.push(noCache(prepared));
  const cache = areBands ? 0 : settings.cache;
  const { loader, stepsPerEpoch } = await openLoader(loaders, training, { ...settings, cache }, signal, closers);
  checkSchedule(scheduleOf(settings, stepsPerEpoch));
  const { threads } = settings;
  const session = trainSessionOptions(settings);
  const facts = imageFactsOf(settings, prepared, training);
  const warn = (line: string): void => void warnings.push(line);
  const parts = { options, settings, mode, driver, session, images, model, graphs, context, stepsPerEpoch, warn };
  let trainer: Trainer | undefined;
  closers.push(() => trainer?.close());
  const validating = {
    ...{ driver, session, settings, prepared, validation, loaders, hasByteImages, warn },
    graph: graphs.evaluation,
    trainer: () => trainer!,
  };
  return {
    settings,
    parameters: prepared.parameters.map(({ name, shape, decay }) => ({ name, shape, decay })),
    kept: describeKept(prepared),
    model: options.origin ?? summaryOfModel(model, options.model),
    classOrder: order,
    data: { train: summaryOf(training), val: validation === undefined ? null : summaryOf(validation) },
    warnings,
    threads,
    adaptation: model.adaptation,
    conditions: {
      ...target.machine,
      onnxruntime: driver.version,
      threads: threads ?? availableParallelism(),
      images: fingerprint(training),
      validation: validation === undefined ? null : fingerprint(validation),
    },
    stampImages: (content) => stampSource(training, { content, signal }),
    loader,
    imageDims: prepared.imageDims,
    stepsPerEpoch,
    masks: gradient.interface.inputs.masks,
    gradient,
    isResident,
    readEvery,
    lengths: lengthsOf(prepared, graphs, settings),
    layout: { parameters: prepared.parameters, statistics: prepared.statistics, optimizer: settings.optimizer },
    get trainer() {
      return trainer!;
    },
    initial: () => stateOfModel(parts),
    async start(state, step, lossScale, rankRoom) {
      const before = trainer;
      trainer = undefined;
      await before?.close();
      trainer = await startTrainer(parts, state, step, lossScale, rankRoom);
    },
    validate: createValidator({ ...validating, closers }),
    openRateJudge: () => openRateJudge(validating, training, loader.batchesPerEpoch),
    modelOf: (state) => trainedModel(model, settings, facts, state),
    close,
  };
}

function lengthsOf(prepared: Prepared, { update }: SessionGraphs, { ema }: TrainSettings): TrainingSession['lengths'] {
  const parameters = lengthOf(prepared.parameters);
  const statistics = lengthOf(prepared.statistics);
  return { parameters, statistics, state: update.stateLength, ema: ema === null ? 0 : parameters + statistics };
}

/** Whoever interrupted the training does not wait for images that are being decoded. */
export async function closeInTime(session: TrainingSession, signal: AbortSignal | undefined): Promise<void> {
  const closed = session.close();
  if (signal?.aborted !== true) return closed;
  closed.catch(() => undefined);
  await Promise.race([closed, setTimeout(500)]);
}
