import type { Closeness, RecoverReport } from '../contracts/recover.js';
import { inWords, LowrankError } from '../errors.js';
import { checkPaths, type PathUse, reads } from '../files/conflicts.js';
import { fileSha256 } from '../files/hash.js';
import { takeLock } from '../files/lock.js';
import { drain } from '../files/pieces.js';
import { checkWritable } from '../files/write-file.js';
import { imageReads } from '../data/paths.js';
import { modelReads, modelWrites } from '../graph/model-paths.js';
import { checkedLimits, limitsOf } from '../limits.js';
import { targetOf } from '../lower/target.js';
import { startLine, trialLine } from '../report/recover-text.js';
import type { TrainProgress } from '../report/train-progress.js';
import { summarize } from '../rewrite/prepare.js';
import { loadDriver } from '../runtime/driver.js';
import { buildEvalGraph } from '../step/eval-graph.js';
import { stageTrained } from '../step/export.js';
import { buildGradientGraph } from '../step/gradient-graph.js';
import { prepareMatching } from '../step/prepare-matching.js';
import { buildUpdateGraph } from '../step/update-graph.js';
import { initialState } from '../step/vectors.js';
import { normalizationName } from '../images/image-metadata.js';
import { normalizationOf } from '../images/images.js';
import { trainSessionOptions } from '../training/options.js';
import { settleImages } from '../training/settle-images.js';
import { tool } from '../version.js';
import { loadersFor, openRecoverImages, requireLabels } from './images.js';
import { type Judge, openJudge } from './judge.js';
import type { Learning } from './learner.js';
import { findRate } from './rate.js';
import { checkRecoverSettings, defaultRecoverSettings, fewImages, type RecoverSettings } from './settings.js';
import { followTeacher } from './follow.js';

export interface RecoverOptions {
  /** The model that has lost something, such as a converted one. */
  readonly model: string;
  /** The model that it is made to compute again. */
  readonly teacher: string;
  readonly output: string;
  readonly force?: boolean;
  /** Pictures, which need no labels: what `openUnlabelled` opens. */
  readonly data: string;
  /** Pictures to judge by; default: a sixth of `data`, at most 256, which are not learned from. */
  readonly val?: string | undefined;
  /** With labels: file of the classes in the order of the model's outputs. */
  readonly classes?: string | undefined;
  readonly settings?: Partial<RecoverSettings>;
  readonly command?: string;
  readonly signal?: AbortSignal | undefined;
  /** MiB that a model may need at once; default: the memory of the machine. */
  readonly maxMemory?: number | undefined;
  readonly progress?: TrainProgress;
}

/**
 * Makes a model compute what another does, its teacher, on pictures without labels, and writes the weights that were closest to
 * it on pictures that are kept out: never weights further away than those that it began with. See `matchGoal` for what is minimized.
 * Interrupted (`signal`) once it has begun to learn, it writes the closest so far.
 * Throws INPUT for pictures that cannot be used, USAGE for settings, or a teacher, that do not fit, UNSUPPORTED where the model
 * cannot be differentiated, NUMERIC where the teacher's outputs are not finite, OUTPUT, RUNTIME, and ABORTED before it learns.
 */
export async function recover(options: RecoverOptions): Promise<RecoverReport> {
  const started = performance.now();
  const settings = { ...defaultRecoverSettings, ...options.settings };
  checkRecoverSettings(settings);
  checkPaths(recoverPaths(options));
  checkWritable(options.output, options.force === true);
  const lock = takeLock(`${options.output}.lock`);
  try {
    return await run(options, settings, started);
  } finally {
    lock.release();
  }
}

/** The files that `recover` reads and writes. */
export function recoverPaths({ model, teacher, output, data, val, classes }: RecoverOptions): readonly PathUse[] {
  return [
    ...modelReads(model),
    reads(teacher, 'the teacher', '--teacher'),
    ...imageReads(data, 'the images', '--data'),
    ...(val === undefined ? [] : imageReads(val, 'the validation images', '--val')),
    ...(classes === undefined ? [] : [reads(classes, 'the class list', '--classes')]),
    ...modelWrites(output),
  ];
}

type Closers = (() => unknown)[];

async function run(options: RecoverOptions, asked: RecoverSettings, started: number): Promise<RecoverReport> {
  const closers: Closers = [];
  try {
    return await recoverWith(options, asked, started, closers);
  } finally {
    options.progress?.done();
    for (const closer of closers.reverse()) await closer();
  }
}

async function recoverWith(
  options: RecoverOptions,
  asked: RecoverSettings,
  started: number,
  closers: Closers,
): Promise<RecoverReport> {
  const { signal, progress } = options;
  const settled = await settleImages(options, asked);
  const { settings } = settled;
  const limits = limitsOf(checkedLimits(options));
  const images = await openRecoverImages(options, settings);
  closers.push(() => images.close());
  const batchNorm = batchNormOf(settings, images.training.length);
  const match = { ...settings, batchNorm };
  const sized = settings.imageSize === null ? {} : { imageSize: settings.imageSize };
  const prepared = prepareMatching(options.model, options.teacher, { settings, match, limits, ...sized });
  closers.push(() => prepared.model.file?.close());
  closers.push(() => prepared.teacher.model.file?.close());
  requireLabels(images, prepared.goal.classes);
  const warnings = [...prepared.warnings, ...images.warnings];
  const warn = (line: string): void => {
    warnings.push(line);
    progress?.note(`warning: ${line}`);
  };
  const driver = await loadDriver();
  const target = await targetOf(settings.device === 'cpu' ? settings.target : 'cuda', driver, settings);
  const gradient = buildGradientGraph(
    prepared,
    settings,
    { batch: settings.batchSize, isBatchOpen: false, passes: target.passes },
    target.build,
    target.opsets,
  );
  const update = buildUpdateGraph(prepared, settings);
  const evaluation = buildEvalGraph(prepared, { batch: settings.batchSize, isBatchOpen: true, passes: target.passes });
  const session = { ...trainSessionOptions(settings), limits };
  const loaders = loadersFor(prepared, settings);
  const heldOut = loaders.heldOut(images.heldOut, settings.batchSize);
  const hasClasses = prepared.goal.classes !== null;
  let judge: Judge;
  try {
    judge = await openJudge(evaluation, heldOut, prepared.imageDims, hasClasses, { driver, session, signal });
  } finally {
    await heldOut.close();
  }
  closers.push(() => judge.close());
  const initial = initialState(prepared, update.stateLength, false);
  const start = await judge.measure(initial);
  requireFinite(start, options);
  const loader = loaders.training(images.training);
  closers.push(() => loader.close());
  const learning: Learning = {
    ...{ driver, session, gradient, update, settings, signal, note: warn },
    graphOptimization: target.graphOptimization,
  };
  const seconds = { prepare: since(started), trials: 0, train: 0, evaluate: 0 };
  const trialsStarted = performance.now();
  progress?.note(startLine(start));
  const found =
    settings.lr === null
      ? await findRate(learning, loader, initial, judge, (trial) => progress?.note(trialLine(trial)))
      : { lr: settings.lr, trials: [] };
  seconds.trials = since(trialsStarted);
  const followed = await followTeacher({ learning, loader, judge, initial, start, lr: found.lr, progress, seconds });
  const { best, evaluations, retreats, status, stepsPerSecond } = followed;
  const staged = stageTrained(
    options.model,
    {
      ...best.state,
      ...{ parameterSlots: prepared.parameters, statisticSlots: prepared.statistics, tie: settings.tie },
    },
    options.output,
    { force: options.force === true, images: factsOf(settings) },
  );
  let bytes: number;
  try {
    ({ bytes } = staged.commit());
  } finally {
    staged.discard();
  }
  const { order } = images;
  return inWords<RecoverReport>({
    schema: 'lowrank.recover/1',
    tool,
    ...(options.command === undefined ? {} : { command: options.command }),
    seed: settings.seed,
    model: summarize(prepared.model, prepared.shapesFor(1), options.model),
    teacher: summarize(prepared.teacher.model, prepared.teacher.shapesFor(1), options.teacher),
    settings: { ...settings },
    data: {
      path: options.data,
      images: images.training.length,
      heldOut: { path: options.val ?? options.data, images: judge.images, from: images.heldOutFrom },
    },
    ...(settled.preparation === undefined
      ? {}
      : { preparation: order === undefined ? settled.preparation : { ...settled.preparation, classes: order } }),
    matching: {
      classes: prepared.goal.classes,
      points: prepared.matching.points.map(({ name, weight }) => ({ name, weight })),
      batchNorm,
      teacher: 'in every update',
    },
    rate: { lr: found.lr, from: settings.lr === null ? 'trials' : 'option', trials: found.trials },
    start,
    evaluations,
    retreats,
    written: { step: best.step, loss: best.loss, agreement: best.agreement },
    output: { path: options.output, bytes, sha256: drain(fileSha256(options.output)) },
    warnings,
    seconds: { ...seconds, total: since(started) },
    stepsPerSecond,
    status,
  });
}

function batchNormOf({ batchNorm }: RecoverSettings, images: number): 'frozen' | 'batch' {
  if (batchNorm !== 'auto') return batchNorm;
  return images < fewImages ? 'frozen' : 'batch';
}

function factsOf(settings: RecoverSettings): { readonly normalization: ReturnType<typeof normalizationOf> | string } {
  const normalization = normalizationOf(settings);
  return { normalization: normalizationName(normalization) ?? normalization };
}

function requireFinite({ loss }: Closeness, { model, teacher }: RecoverOptions): void {
  if (Number.isFinite(loss)) return;
  throw new LowrankError('NUMERIC', 'the outputs of the model or of its teacher are not finite', {
    place: `${model}; ${teacher}`,
    remedy: 'see what both give with lowrank eval, and how the images are normalized',
  });
}

const since = (time: number): number => (performance.now() - time) / 1000;
