import type { RecoverReport } from '../contracts/recover.js';
import { inWords } from '../errors.js';
import { checkPaths, type PathUse, reads, writes } from '../files/conflicts.js';
import { fileSha256 } from '../files/hash.js';
import { takeLock } from '../files/lock.js';
import { drain } from '../files/pieces.js';
import { checkWritable } from '../files/write-file.js';
import { imageReads } from '../data/paths.js';
import { modelReads, modelWrites } from '../graph/model-paths.js';
import { formatPercent } from '../report/format.js';
import { startLine } from '../report/recover-text.js';
import type { TrainProgress } from '../report/train-progress.js';
import { stageTrained } from '../step/export.js';
import { initialState, type TrainingState } from '../step/vectors.js';
import { checkedLimits, limitsOf } from '../limits.js';
import { normalizationName } from '../images/image-metadata.js';
import { normalizationOf } from '../images/images.js';
import { calledSides } from '../images/sample-shape.js';
import { tool } from '../version.js';
import { takeCourse } from './course.js';
import { describeInputs } from './inputs.js';
import { type Closers, type OpenedRecovery, openRecovery, requireFinite } from './open.js';
import { checkRecoverSettings, defaultRecoverSettings, type RecoverSettings } from './settings.js';

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
  const settings = checkedSettings(options);
  checkPaths(recoverPaths(options));
  checkWritable(options.output, options.force === true);
  const lock = takeLock(`${options.output}.lock`);
  try {
    return await run(options, settings, started, false);
  } finally {
    lock.release();
  }
}

/** As `recover`, of a conversion of the teacher, in the place of the model itself, which stays as it is where this throws. */
export function recoverInPlace(options: Omit<RecoverOptions, 'output' | 'force'>): Promise<RecoverReport> {
  return run({ ...options, output: options.model, force: true }, checkedSettings(options), performance.now(), true);
}

export function checkedSettings(options: Pick<RecoverOptions, 'settings'>): RecoverSettings {
  const settings = { ...defaultRecoverSettings, ...options.settings };
  checkRecoverSettings(settings);
  return settings;
}

/** The files that `recover` reads and writes. */
export function recoverPaths({ model, teacher, output, data, val, classes }: RecoverOptions): readonly PathUse[] {
  return [
    ...modelReads(model),
    ...modelReads(teacher, 'the teacher', '--teacher'),
    ...imageReads(data, 'the images', '--data'),
    ...(val === undefined ? [] : imageReads(val, 'the validation images', '--val')),
    ...(classes === undefined ? [] : [reads(classes, 'the class list', '--classes')]),
    ...modelWrites(output),
    writes(`${output}.lock`, 'the lock of the output', '-o'),
  ];
}

async function run(
  options: RecoverOptions,
  asked: RecoverSettings,
  started: number,
  isOriginal: boolean,
): Promise<RecoverReport> {
  const closers: Closers = [];
  try {
    const opened = await openRecovery(options, asked, closers);
    return await learn(options, opened, started, closers, isOriginal);
  } finally {
    options.progress?.done();
    for (const closer of closers.reverse()) await closer();
  }
}

async function learn(
  options: RecoverOptions,
  opened: OpenedRecovery,
  started: number,
  closers: Closers,
  /** Whether the teacher is known to be what the model was made of. */
  isOriginal: boolean,
): Promise<RecoverReport> {
  const { signal, progress } = options;
  const { images, prepared, update, judge, loaders } = opened;
  const warnings = [...prepared.warnings, ...images.warnings];
  const warn = (line: string): void => {
    warnings.push(line);
    progress?.note(`warning: ${line}`);
  };
  const initial = initialState(prepared, update.stateLength, false);
  const start = await judge.measure(initial);
  requireFinite(start.loss, options);
  if (!isOriginal) warnOfStrangers(start.agreement, prepared.goal.classes, warn);
  const loader = loaders.training(images.training);
  closers.push(() => loader.close());
  const seconds = { prepare: since(started), trials: 0, train: 0, evaluate: 0 };
  progress?.note(startLine(start));
  const { memory } = limitsOf(checkedLimits(options));
  const course = await takeCourse({ opened, initial, start, loader, signal, progress, warn, memory, seconds });
  const { best, evaluations, retreats, status, stepsPerSecond, rate, blocks, behindBlocks } = course;
  const bytes = writeBest(options, opened, best.state);
  return inWords<RecoverReport>({
    schema: 'lowrank.recover/1',
    tool,
    ...(options.command === undefined ? {} : { command: options.command }),
    ...describeInputs(options, opened),
    rate,
    start,
    ...(blocks === undefined ? {} : { blocks, behindBlocks: behindBlocks! }),
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

/** Above chance, a model agrees with the one that it was made of by more than this. */
const fewestAgreed = 0.1;

/** Two models that agree by chance alone may be strangers, or be fed what one of them does not take. */
function warnOfStrangers(agreement: number | null, classes: number | null, warn: (line: string) => void): void {
  if (agreement === null || classes === null || agreement > 1 / classes + fewestAgreed) return;
  warn(
    `only ${formatPercent(agreement)} of the pictures are right before the first update, little more than by chance: is the teacher the model that it was converted from, and do both take pictures of one size and normalization?`,
  );
}

/** Writes the weights into the model; gives the bytes of the file. */
function writeBest(
  { model, output, force }: RecoverOptions,
  { settings, prepared, images: { training } }: OpenedRecovery,
  state: TrainingState,
): number {
  const { parameters, statistics, imageDims, layout } = prepared;
  const normalization = normalizationOf(settings, calledSides(imageDims, layout).channels);
  const arrays = training.arrays === undefined ? {} : { arrays: training.arrays.type };
  const images = { normalization: normalizationName(normalization) ?? normalization, ...arrays };
  const weights = { ...state, parameterSlots: parameters, statisticSlots: statistics, tie: settings.tie };
  const staged = stageTrained(model, weights, output, { force: force === true, images });
  try {
    return staged.commit().bytes;
  } finally {
    staged.discard();
  }
}

const since = (time: number): number => (performance.now() - time) / 1000;
