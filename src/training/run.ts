import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { LowrankError } from '../errors.js';
import { cachedSource } from '../data/cached-source.js';
import { createLoader, type Loader } from '../data/loader.js';
import type { OutputFormat } from '../data/normalize.js';
import { type DataStamp, stampSource } from '../data/stamp.js';
import { drawImages } from '../data/subset.js';
import type { ImageSource } from '../data/types.js';
import { summarize } from '../rewrite/prepare.js';
import type { ImageFacts } from '../graph/image-facts.js';
import type { WrittenFile } from '../graph/write.js';
import { fileSha256 } from '../files/hash.js';
import { drain } from '../files/pieces.js';
import { emulateHalf } from '../passes/emulate-half.js';
import { runPasses } from '../passes/runner.js';
import type { ClassOrder, ModelSummary } from '../contracts/convert.js';
import { type Predictions, summarizePredictions } from '../evaluate/eval-summary.js';
import type { DataSummary } from '../contracts/train.js';
import type { TrainExplainReport } from '../contracts/train-explain.js';
import { checkedLimits, isOverLimit, limitsOf, type RunLimits } from '../limits.js';
import { requireMemory } from '../ops/memory.js';
import { outOfMemory } from './out-of-memory.js';
import { loadDriver } from '../runtime/driver.js';
import type { Session } from '../runtime/types.js';
import { buildEvalGraph } from '../step/eval-graph.js';
import { evaluate, type Predict } from '../evaluate/evaluate.js';
import { stageTrained } from '../step/export.js';
import { lengthOf } from '../step/flat.js';
import { normalizationName } from '../images/image-metadata.js';
import { buildGradientGraph, type GradientGraph, type MaskInput } from '../step/gradient-graph.js';
import {
  imageSizeOf,
  normalizationOf,
  openTraining,
  openValidation,
  requireClasses,
  summaryOf,
} from '../images/images.js';
import { classesOfModel } from '../images/labelled-images.js';
import { calibrate, foldInserted, insertNormalization } from './insert-normalization.js';
import type { LossScale } from '../step/loss-scale.js';
import { blankTargets, losses } from '../step/losses/index.js';
import { withNewHead } from '../step/new-head.js';
import { trainingSession, type TrainCall, type TrainOptions, type TrainSettings, transformsOf } from './options.js';
import { describeKept } from '../step/manifest.js';
import { misplaced } from '../runtime/placement.js';
import { pause } from './pause.js';
import { type Prepared, prepareTraining } from '../step/prepare.js';
import { checkSchedule, type Schedule } from './schedule.js';
import { targetOf } from '../lower/target.js';
import { createTrainer, type Trainer } from './trainer.js';
import { untilAborted } from './until-aborted.js';
import { buildUpdateGraph } from '../step/update-graph.js';
import { initialState, startAverages, type TrainingState } from '../step/vectors.js';

/** What a training works with: images, graphs, sessions. */
export interface TrainingRun {
  readonly model: ModelSummary;
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
  /** Of the files of the training images. */
  stampImages(content: 'always' | 'small' | 'never'): Promise<DataStamp>;
  readonly loader: Loader;
  /** Of one image, as the model takes it. */
  readonly imageDims: readonly number[];
  readonly stepsPerEpoch: number;
  readonly schedule: Schedule;
  readonly masks: readonly MaskInput[];
  /** As it is written for other programs: until the start, where half precision may become an emulation of it. */
  readonly gradient: GradientGraph;
  /** Whether the state lies on the device, and how many updates there are between two looks at the losses. */
  readonly isResident: boolean;
  readonly readEvery: number;
  /** Elements of the vectors of a training's state. */
  readonly lengths: { readonly [Name in keyof TrainingState]: number };
  readonly trainer: Trainer;
  /** Opens the sessions, with the state of a checkpoint or of the model. */
  start(state: TrainingState | undefined, step: number, lossScale?: LossScale): Promise<void>;
  /** Results on the validation images; undefined where there are none. Throws ABORTED. */
  validate(
    onProgress: (done: number, total: number) => void,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly loss: number; readonly top1: number; readonly top5: number | null } | undefined>;
  /** Writes the model with the weights of a state: the moving averages where there are some. */
  writeModel(state: TrainingState, path: string, replace?: boolean): WrittenFile;
  close(): Promise<void>;
}

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
export type RunOptions = TrainOptions & Pick<TrainCall, 'data'>;

/** Updates between two looks at the losses where these stay on the device. */
const residentReadEvery = 10;

/** Whether every update must be known to be finite before the next one begins. */
const isScaled = ({ precision }: TrainSettings): boolean => precision === 'float16';

/** Opens images and model, and emits the graphs. The caller closes the result. */
export async function openTrainingRun(
  options: RunOptions,
  settings: TrainSettings,
  mode: RunMode = {},
): Promise<TrainingRun> {
  const closers: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    return await openRun(options, settings, mode, closers, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function openRun(
  options: RunOptions,
  settings: TrainSettings,
  {
    isResident = settings.device !== 'cpu',
    hasByteImages = settings.device !== 'cpu',
    capture = settings.cudaGraphs,
    readEvery = isResident && !isScaled(settings) ? residentReadEvery : 1,
  }: RunMode,
  closers: (() => unknown)[],
  close: () => Promise<void>,
): Promise<TrainingRun> {
  const { batchSize, accumulate, seed, ema } = settings;
  const limits = limitsOf(checkedLimits(options));
  const { source: training, order } = await openTraining(options.data, {
    path: options.classes,
    model: settings.newHead ? undefined : classesOfModel(options.model),
  });
  closers.push(() => training.close());
  const validation = await openValidation(options.val, options.data, training);
  if (validation !== undefined) closers.push(() => validation.close());
  const head = settings.newHead
    ? withNewHead(options.model, training.classes.length, seed, training.targets !== undefined)
    : undefined;
  const source = head?.bytes ?? options.model;
  const inserted = settings.insertBn ? insertNormalization(source, settings.freeze) : undefined;
  const prepared = prepareTraining(inserted?.bytes ?? source, {
    settings,
    ...(settings.imageSize === null ? {} : { imageSize: settings.imageSize }),
    limits,
  });
  closers.push(() => prepared.model.file?.close());
  await pause(options.signal);
  requireStepMemory(prepared, batchSize, settings, limits);
  requireClasses(
    training,
    prepared.classes,
    settings.newHead
      ? 'report this: the new head should fit'
      : `list the model's classes with --classes, or replace its last layer with --new-head`,
  );
  for (const source of [training, ...(validation === undefined ? [] : [validation])])
    requireLoss(prepared, options.model, source);
  const warnings = [
    ...(head?.warnings ?? []),
    ...prepared.warnings,
    ...training.warnings,
    ...(validation?.warnings ?? []),
  ];
  const driver = await loadDriver();
  const target = await targetOf(settings.device === 'cpu' ? settings.target : 'cuda', driver, settings);
  const gradient = buildGradientGraph(
    prepared,
    settings,
    { batch: batchSize, isBatchOpen: false, passes: target.passes },
    target.build,
    target.opsets,
    hasByteImages ? { normalization: normalizationOf(settings), hasFlips: flips(settings) } : undefined,
  );
  await pause(options.signal);
  const isEmulated = settings.precision !== 'float32' && settings.device === 'cpu';
  if (isEmulated) warnings.push(`${settings.precision} is emulated on CPU: right, but slower than float32`);
  const update = buildUpdateGraph(prepared, settings);
  const evalGraph = buildEvalGraph(
    prepared,
    { batch: batchSize, isBatchOpen: true, passes: target.passes },
    hasByteImages ? { normalization: normalizationOf(settings) } : undefined,
  );
  await pause(options.signal);
  const threads = settings.threads;
  const images = imagesFor(prepared, settings, hasByteImages);
  const cached = settings.cache > 0 ? await cache(training, settings, options.signal) : training;
  const loader = images.training(cached, batchSize);
  closers.push(() => loader.close());
  const stepsPerEpoch = Math.floor(loader.batchesPerEpoch / accumulate);
  if (stepsPerEpoch === 0) {
    throw new LowrankError('USAGE', `${training.length} images are less than one update of ${batchSize * accumulate}`, {
      place: training.path,
      remedy: 'lower --batch-size or --accumulate',
    });
  }
  const schedule = scheduleOf(settings, stepsPerEpoch);
  checkSchedule(schedule);
  const count = lengthOf(prepared.parameters);
  const statisticsCount = lengthOf(prepared.statistics);
  const session = trainingSession(settings);
  const slots = { parameterSlots: prepared.parameters, statisticSlots: prepared.statistics, tie: settings.tie };
  let trainer: Trainer | undefined;
  let evaluator: Session | undefined;
  let validating: Loader | undefined;
  const facts = imageFactsOf(settings, prepared, training);
  const weightsOf = (state: TrainingState): { parameters: Float32Array; statistics: Float32Array } =>
    ema === null ? state : { parameters: state.ema.subarray(0, count), statistics: state.ema.subarray(count) };
  return {
    parameters: prepared.parameters.map(({ name, shape, decay }) => ({ name, shape, decay })),
    kept: describeKept(prepared),
    model: summaryOfModel(prepared, options.model, inserted?.bytes ?? source),
    classOrder: order,
    data: { train: summaryOf(training), val: validation === undefined ? null : summaryOf(validation) },
    warnings,
    threads,
    conditions: {
      ...target.machine,
      onnxruntime: driver.version,
      threads: threads ?? availableParallelism(),
      images: fingerprint(training),
      validation: validation === undefined ? null : fingerprint(validation),
    },
    stampImages: (content) => stampSource(training, { content, signal: options.signal }),
    loader,
    imageDims: prepared.imageDims,
    stepsPerEpoch,
    schedule,
    masks: gradient.interface.inputs.masks,
    gradient,
    isResident,
    readEvery,
    lengths: {
      parameters: count,
      statistics: statisticsCount,
      state: update.stateLength,
      ema: ema === null ? 0 : count + statisticsCount,
    },
    get trainer() {
      return trainer!;
    },
    async start(state, step, lossScale) {
      const initial = state ?? initialState(prepared, update.stateLength, ema !== null);
      if (state === undefined && inserted !== undefined) {
        const some = imagesFor(prepared, settings, false).validation(
          drawImages(training, calibrationImages, { seed, order: 'drawn' }),
          batchSize,
        );
        try {
          const { layers } = inserted;
          const batches = some.batches(0);
          const { signal } = options;
          await calibrate({ source, layers, driver, session, batches, signal }, { ...initial, ...slots });
        } finally {
          await some.close();
        }
        if (ema !== null) startAverages(initial);
      }
      if (isEmulated) runPasses(gradient.model, [emulateHalf]);
      trainer = await createTrainer({
        driver,
        gradient,
        update,
        state: initial,
        batch: batchSize,
        averageDecay: ema ?? undefined,
        session,
        graphOptimization: target.graphOptimization,
        step,
        lossScale,
        isResident,
        readEvery,
        capture,
        allowCpuNodes: settings.allowCpuNodes,
        signal: options.signal,
        note: (line) => warnings.push(line),
      });
      closers.push(() => trainer!.close());
    },
    async validate(onProgress, signal) {
      if (validation === undefined) return undefined;
      if (evaluator === undefined) {
        evaluator = await driver.createSession(evalGraph.bytes(), { ...session, sharedArena: true });
        closers.push(() => evaluator!.close());
        const fact = misplaced(evaluator, settings.device, 'the eval graph');
        if (fact !== undefined) warnings.push(fact);
      }
      const { inputs, outputs } = evalGraph.interface;
      const { parameters, statistics } = await trainer!.weights();
      const binding = evaluator.bind();
      binding.bindInput(inputs.parameters, parameters);
      binding.bindInput(inputs.statistics, statistics);
      if (validating === undefined) {
        validating = images.validation(validation, batchSize);
        closers.push(() => validating!.close());
      }
      const predict: Predict = async (data, dims) => {
        const size = dims[0]!;
        const logits = new Float32Array(size * prepared.classes);
        binding.bindInput(inputs.images, { type: hasByteImages ? 'uint8' : 'float32', dims, data });
        binding.bindInput(inputs.labels, blankTargets(prepared.loss, size, prepared.classes)['labels']!);
        binding.bindOutput(outputs.logits, { type: 'float32', dims: [size, prepared.classes], data: logits });
        await binding.run({ signal });
        return logits;
      };
      let predictions: Predictions;
      try {
        predictions = await evaluate(untilAborted(validating.batches(0), signal), predict, {
          classes: prepared.classes,
          end: losses[prepared.loss].classes === 'one' ? 'logits' : 'sigmoid-logits',
          signal,
          onProgress: (done) => onProgress(done, validation.length),
        });
      } finally {
        binding.close();
      }
      const { loss, top1, top5 } = summarizePredictions(predictions, validation.titles);
      return { loss, top1, top5 };
    },
    writeModel(state, path, replace = false) {
      const weights = { ...weightsOf(state), ...slots };
      const own = inserted === undefined ? weights : foldInserted(weights, inserted.layers);
      const staged = stageTrained(source, own, path, { force: replace, images: facts });
      try {
        return staged.commit();
      } finally {
        staged.discard();
      }
    },
    close,
  };
}

/** Throws RUNTIME (`isOutOfMemory`) where the forward graph alone needs more memory than it may. On a GPU its arena says so. */
function requireStepMemory(
  { model, shapesFor }: Prepared,
  batch: number,
  { device }: TrainSettings,
  { memory }: RunLimits,
): void {
  if (device !== 'cpu') return;
  try {
    requireMemory(model.graph, shapesFor(batch), memory);
  } catch (error) {
    throw isOverLimit(error) ? outOfMemory(error) : error;
  }
}

/**
 * Throws UNSUPPORTED where the images have one class each and the model tells classes one by one (a Sigmoid), or the other way
 * round.
 */
function requireLoss({ loss }: Prepared, path: string, { path: data, targets }: ImageSource): void {
  if ((losses[loss].classes === 'one') === (targets === undefined)) return;
  if (targets !== undefined) {
    throw new LowrankError('UNSUPPORTED', 'the images have several classes each, and the model tells one', {
      place: `${data}; ${path} does not end in a Sigmoid`,
      remedy: 'train a new head for them with --new-head',
    });
  }
  throw new LowrankError('UNSUPPORTED', 'the model ends in a Sigmoid, for images of several classes each', {
    place: `${path}; the images of ${data} have one class each`,
    remedy: 'train a new head for them with --new-head; or give labels that are 0 or 1 for every class',
  });
}

/** Whether training images are mirrored at random. */
function flips({ augment, flip }: TrainSettings): boolean {
  return flip && augment !== 'none';
}

/** What the trained model says of its images: as they were shown in training and validation. */
function imageFactsOf(
  settings: TrainSettings,
  { imageDims, layout, images }: Prepared,
  { classes: ids, titles }: ImageSource,
): ImageFacts {
  const { width, height } = imageSizeOf(imageDims, layout, images.name);
  const { val } = transformsOf(settings, width, height);
  const normalization = normalizationOf(settings);
  return {
    normalization: normalizationName(normalization) ?? normalization,
    ...(width === height ? { imageSize: width } : {}),
    resize: val.kind === 'stretch' ? 'stretch' : val.resize,
    interpolation: val.interpolation ?? 'bilinear',
    classes: { ids, titles },
  };
}

/** Images that inserted normalization layers are calibrated on. */
const calibrationImages = 512;

/** Loaders for a model's input. */
function imagesFor(
  prepared: Prepared,
  settings: TrainSettings,
  areBytes: boolean,
): {
  training(source: ImageSource, batchSize: number): Loader;
  validation(source: ImageSource, batchSize: number): Loader;
} {
  const { layout, imageDims } = prepared;
  const { width, height } = imageSizeOf(imageDims, layout, prepared.images.name);
  const transforms = transformsOf(settings, width, height);
  const normalization = normalizationOf(settings);
  const format: OutputFormat = areBytes
    ? { type: 'uint8', layout: 'nhwc', normalization, reportsFlips: true }
    : { type: 'float32', layout, normalization };
  const shared = {
    format,
    seed: settings.seed,
    maxBad: settings.maxBad,
    ...(settings.workers === null ? {} : { workers: settings.workers }),
  } as const;
  return {
    training: (source, batchSize) =>
      createLoader({ ...shared, source, batchSize, transform: transforms.train, shuffle: true, last: 'drop' }),
    validation: (source, batchSize) =>
      createLoader({ ...shared, source, batchSize, transform: transforms.val, shuffle: false, last: 'keep' }),
  };
}

async function cache(
  source: ImageSource,
  settings: TrainSettings,
  signal: AbortSignal | undefined,
): Promise<ImageSource> {
  return cachedSource(source, {
    maxBytes: settings.cache,
    signal,
    ...(settings.workers === null ? {} : { workers: settings.workers }),
  });
}

function scheduleOf(settings: TrainSettings, stepsPerEpoch: number): Schedule {
  return {
    kind: settings.schedule,
    base: settings.lr,
    warmup: Math.round(settings.warmup * stepsPerEpoch),
    total: settings.epochs * stepsPerEpoch,
    minimum: settings.minLr,
    period: Math.max(1, Math.round(settings.decayEvery * stepsPerEpoch)),
    factor: settings.decayFactor,
  };
}

/** What reports say of the model that training began with; where it was changed in memory, with the hash of its file. */
function summaryOfModel(prepared: Prepared, path: string, source: string | Uint8Array): ModelSummary {
  const summary = summarize(prepared.model, prepared.shapesFor(1), path);
  return source === path ? summary : { ...summary, sha256: drain(fileSha256(path)) };
}

/** A number for a set of images: their names and labels in order. */
function fingerprint(source: ImageSource): string {
  const hash = createHash('sha256');
  for (let i = 0; i < source.length; i++) hash.update(`${source.label(i)} ${source.name(i)}\n`);
  return `${source.length} (${hash.digest('hex').slice(0, 12)})`;
}
