import { setTimeout } from 'node:timers/promises';
import { inWords, inWordsOfCaller, LowrankError, messageOf, throwIfAborted } from '../errors.js';
import type { Batch } from '../data/batch.js';
import { imageReads } from '../data/paths.js';
import { checkPaths, type PathUse, reads, writes } from '../files/conflicts.js';
import { takeLock } from '../files/lock.js';
import { saving } from '../files/saving.js';
import { modelReads, modelWrites } from '../graph/model-paths.js';
import { fileSha256 } from '../files/hash.js';
import { drain } from '../files/pieces.js';
import { checkWritable } from '../files/write-file.js';
import {
  createTensorBoardWriter,
  epochScalars,
  settingsMarkdown,
  startScalars,
  type TensorBoardWriter,
} from '../report/tensorboard.js';
import { bestEpoch, type TrainEpoch, type TrainReport } from '../contracts/train.js';
import { startLine } from '../report/train-progress.js';
import { trainVerdict } from '../report/train-verdict.js';
import { tool } from '../version.js';
import { type Checkpoint, type CheckpointPosition, checkpointsOf, openCheckpoints, readNewest } from './checkpoint.js';
import { fewUpdates } from './few-updates.js';
import { changeNotes, requireRoom } from './go-on.js';
import { drawMasks } from '../step/masks.js';
import { resolveMicroBatch } from './micro-batch.js';
import { checkTrainSettings, type TrainCall, type TrainOptions, type TrainSettings } from './options.js';
import { completeCall } from './resume.js';
import { learningRateAt } from './schedule.js';
import { outOfMemory } from './out-of-memory.js';
import { openTrainingSession, type RunMode, type TrainingSession } from './session.js';
import type { CheckpointIdentity } from './same-training.js';
import { type SavedCall, savedCallOf } from './saved-call.js';
import { announceImages, settleImages } from './settle-images.js';
import type { Measured } from './trainer.js';
import { untilAborted } from './until-aborted.js';
import type { TrainingState } from '../step/vectors.js';

/** Settings that do not change what a step computes: a training may go on with others. */
const free = new Set<keyof TrainSettings>([
  'checkpointEvery',
  'keepCheckpoints',
  'saveEvery',
  'workers',
  'maxBad',
  'allowCpuNodes',
  'gpuMemory',
  'microBatch',
  'cache',
]);

/**
 * Trains a model, and writes it with its trained weights: otherwise byte for byte the model that came in. Written are the
 * weights of the best epoch by the validation images, or of the last. Checkpoints lie in `<output>.checkpoints`; a training
 * that is interrupted (`signal`) saves one and reports `interrupted`, or throws ABORTED where it had not begun yet.
 * On CPU, with the same threads, a resumed training equals an uninterrupted one bit for bit.
 * Throws INPUT, USAGE, UNSUPPORTED for what cannot be trained, OUTPUT where another process trains into this output or it
 * cannot be written, NUMERIC where the loss is not finite: the last checkpoint is then from before.
 */
export async function train(options: TrainOptions, mode: RunMode = {}): Promise<TrainReport> {
  const started = performance.now();
  const isResumed = options.resume === true;
  const begun = isResumed ? undefined : checkedCall(options);
  checkPaths(trainPaths(options));
  checkWritable(options.output, options.force === true || isResumed);
  const lock = takeLock(`${options.output}.lock`);
  try {
    const call = begun ?? resumedCall(options);
    const settled = await settleImages(call, call.settings);
    const settings = await resolveMicroBatch(call, settled.settings, mode);
    const run = await openTrainingSession(call, settings, mode);
    try {
      const preparation = announceImages(settled, run, call);
      return { ...(await new Training(call, settings, run, started).run()), ...preparation };
    } catch (error) {
      // A buffer of JavaScript that could not be made.
      throw error instanceof RangeError ? outOfMemory(error) : error;
    } finally {
      await closeInTime(run, options.signal);
    }
  } catch (error) {
    throw error instanceof LowrankError && error.code === 'ABORTED' ? notBegun(error, isResumed) : error;
  } finally {
    lock.release();
  }
}

function checkedCall(options: TrainOptions): TrainCall {
  const call = completeCall(options);
  checkTrainSettings(call.settings);
  return call;
}

/** The call of a training that goes on; its checkpoints are looked at under the lock alone. */
function resumedCall(options: TrainOptions): TrainCall {
  // What a killed training has renamed is found again.
  openCheckpoints(checkpointsOf(options.output), 1);
  const call = checkedCall(options);
  checkPaths(trainPaths(call));
  return call;
}

/** The same interruption, with what became of the work. */
function notBegun(error: LowrankError, isResumed: boolean): LowrankError {
  const fact = isResumed ? 'the checkpoint is as it was' : 'nothing was trained yet, and nothing is saved';
  return new LowrankError('ABORTED', `${error.fact}: ${fact}`, {
    remedy: 'run the same command again',
    cause: error,
  });
}

/** Whoever interrupted the training does not wait for images that are being decoded. */
async function closeInTime(run: TrainingSession, signal: AbortSignal | undefined): Promise<void> {
  const closed = run.close();
  if (signal?.aborted !== true) return closed;
  closed.catch(() => undefined);
  await Promise.race([closed, setTimeout(500)]);
}

/** The files that `train` reads and writes. */
export function trainPaths({ model, output, data, val, classes, tensorboard }: TrainOptions): readonly PathUse[] {
  return [
    ...modelReads(model),
    ...(data === undefined ? [] : imageReads(data, 'the images', '--data')),
    ...(val === undefined ? [] : imageReads(val, 'the validation images', '--val')),
    ...(classes === undefined ? [] : [reads(classes, 'the class list', '--classes')]),
    ...modelWrites(output),
    writes(checkpointsOf(output), 'the folder of checkpoints', '-o', 'folder'),
    writes(`${output}.lock`, 'the lock of the output', '-o'),
    ...(tensorboard === undefined
      ? []
      : [writes(tensorboard, 'the folder of TensorBoard events', '--tensorboard', 'shared')]),
  ];
}

/** The same error, with where the training can go on. Exported for tests. */
export function resumable(error: LowrankError, checkpoint: string | undefined): LowrankError {
  if (checkpoint === undefined) return error;
  return new LowrankError(error.code, error.fact, {
    ...(error.place === undefined ? {} : { place: error.place }),
    remedy: `${error.remedy === undefined ? '' : `${error.remedy}; `}go on with --resume, from ${checkpoint}`,
    cause: error,
  });
}

/** Whether no element is NaN or infinite. */
function isFinite(vector: Float32Array): boolean {
  // NaN and infinities survive x − x as NaN, and sums: one addition an element.
  let sum = 0;
  for (const value of vector) sum += value - value;
  return sum === 0;
}

interface Running {
  images: number;
  loss: number;
  correct: number;
  gradientNorm: number;
  steps: number;
  seconds: number;
  waitSeconds: number;
}

const nothing = (): Running => ({
  images: 0,
  loss: 0,
  correct: 0,
  gradientNorm: 0,
  steps: 0,
  seconds: 0,
  waitSeconds: 0,
});

/** One training from its first step, or its checkpoint, to the written model. */
class Training {
  readonly #call: TrainCall;
  readonly #settings: TrainSettings;
  readonly #run: TrainingSession;
  readonly #started: number;
  readonly #epochs: TrainEpoch[] = [];
  readonly #seconds = { prepare: 0, train: 0, validate: 0, write: 0, total: 0 };
  readonly #checkpoints;
  readonly #saved: SavedCall;
  #identity: CheckpointIdentity;
  #start: TrainReport['start'] = null;
  #resumedFrom: TrainReport['resumedFrom'] = null;
  #checkpoint: TrainReport['checkpoint'] = null;
  #output: TrainReport['output'] = null;
  #written: TrainReport['written'] = null;

  constructor(call: TrainCall, settings: TrainSettings, run: TrainingSession, started: number) {
    this.#call = call;
    this.#settings = settings;
    this.#run = run;
    this.#started = started;
    this.#saved = savedCallOf(call, call.settings);
    this.#checkpoints = openCheckpoints(checkpointsOf(call.output), settings.keepCheckpoints);
    const fixed = Object.entries({ ...settings, ...run.conditions, preset: call.preset ?? null }).filter(
      ([key]) => !free.has(key as keyof TrainSettings),
    );
    this.#identity = { model: run.model.sha256, settings: Object.fromEntries(fixed) };
  }

  async run(): Promise<TrainReport> {
    const { strict } = this.#call;
    const content = strict === undefined ? 'small' : strict ? 'always' : 'never';
    this.#identity = { ...this.#identity, images: await this.#run.stampImages(content) };
    const position = this.#resume();
    if (position === undefined) this.#warn(fewUpdates(this.#settings, this.#run.stepsPerEpoch));
    await this.#run.start(position?.state, position?.position.step ?? 0, position?.position.lossScale);
    const { tensorboard } = this.#call;
    const board =
      tensorboard === undefined
        ? undefined
        : createTensorBoardWriter(tensorboard, position === undefined ? {} : { resumedAt: position.position.step });
    board?.text(0, 'settings', settingsMarkdown(this.#settingsRecord()));
    this.#seconds.prepare = (performance.now() - this.#started) / 1000;
    try {
      return await saving(() => this.#train(position?.position, board));
    } catch (error) {
      const advised = error instanceof LowrankError ? this.#withAdvice(error) : error;
      this.#checkpoints.reinstate();
      throw advised;
    } finally {
      board?.close();
      this.#call.progress?.done();
    }
  }

  /** All epochs from a position on, and the model. */
  async #train(position: CheckpointPosition | undefined, board: TensorBoardWriter | undefined): Promise<TrainReport> {
    const isStopped = (): boolean => this.#call.signal?.aborted === true;
    const first = position?.epoch ?? 0;
    let running: Running = position === undefined ? nothing() : { ...position.running };
    let batch = position?.batch ?? 0;
    if (position === undefined && !isStopped()) await this.#measureStart(board);
    // Nothing was done that could be lost.
    if (isStopped()) return this.#interrupted();
    for (let epoch = first; epoch < this.#settings.epochs; epoch++) {
      const finished = await this.#epoch(epoch, batch, running);
      if (finished === undefined) return this.#interrupted();
      board?.scalars(finished.steps, epochScalars(finished));
      running = nothing();
      batch = 0;
      await this.#save(this.#position({ epoch: epoch + 1, batch: 0, running }));
      if (isStopped() && epoch + 1 < this.#settings.epochs) return this.#interrupted();
    }
    await this.#write();
    return this.#report('finished', null);
  }

  #interrupted(): TrainReport {
    this.#checkpoints.reinstate();
    return this.#report('interrupted', 'stopped by the user');
  }

  /** Epoch 0. It is left out where it is interrupted. */
  async #measureStart(board: TensorBoardWriter | undefined): Promise<void> {
    if (this.#call.validatesStart === false) return;
    const { epochs } = this.#settings;
    const { progress, signal } = this.#call;
    const started = performance.now();
    const val = await this.#run
      .validate((done, total) => progress?.validating(0, epochs, done, total), signal)
      .catch((error: unknown) => {
        if (!(error instanceof LowrankError) || error.code !== 'ABORTED') throw error;
        return undefined;
      });
    this.#seconds.validate += (performance.now() - started) / 1000;
    if (val === undefined) return;
    this.#start = { valLoss: Number.isFinite(val.loss) ? val.loss : null, valTop1: val.top1, valTop5: val.top5 };
    progress?.note(startLine(this.#start, epochs));
    board?.scalars(0, startScalars(this.#start));
  }

  /** A line that is said at once, and stands in the report. */
  #warn(line: string | undefined): void {
    if (line === undefined) return;
    this.#run.warnings.push(line);
    this.#call.progress?.note(inWordsOfCaller(`warning: ${line}`));
  }

  /** The checkpoint to go on from; undefined for a new training. */
  #resume(): Checkpoint | undefined {
    const found = this.#checkpoints.list();
    if (this.#call.resume !== true) {
      if (found.length > 0 && this.#call.force !== true) {
        throw new LowrankError('OUTPUT', 'there are checkpoints of an earlier training', {
          place: this.#checkpoints.path,
          remedy: 'go on with --resume, or begin anew with --force',
        });
      }
      this.#checkpoints.supersede();
      return undefined;
    }
    const comparison = { isStrict: this.#call.strict, mayDiffer: (key: string) => this.#call.mayDiffer(key) };
    const warn = (line: string): void => this.#warn(line);
    const checkpoint = readNewest(found, this.#identity, comparison, this.#run.lengths, warn);
    const { position, differences } = checkpoint;
    requireRoom(position, this.#settings.epochs, checkpoint.path);
    for (const line of changeNotes(position, differences, this.#settings)) this.#warn(line);
    const { step, epoch, epochs, start } = position;
    this.#epochs.push(...epochs);
    this.#start = start ?? null;
    const { saveEvery } = this.#settings;
    for (const done of epochs) {
      if (saveEvery !== null && done.epoch % saveEvery === 0) this.#checkpoints.keep(done.steps);
    }
    this.#keepBest();
    // Damaged ones that are newer count among the last: what is gone on from must not go for them.
    if (checkpoint.path === found[0]) this.#checkpoints.tidy();
    this.#resumedFrom = { path: checkpoint.path, epoch, steps: step };
    this.#checkpoint = this.#resumedFrom;
    return checkpoint;
  }

  /** Trains an epoch from `start` on and validates; undefined where it was interrupted, with a checkpoint written. */
  async #epoch(epoch: number, start: number, running: Running): Promise<TrainEpoch | undefined> {
    if (!(await this.#steps(epoch, start, running))) return undefined;
    try {
      throwIfAborted(this.#call.signal);
      return await this.#finishEpoch(epoch, running);
    } catch (error) {
      if (!(error instanceof LowrankError) || error.code !== 'ABORTED') throw error;
      const batch = this.#run.stepsPerEpoch * this.#settings.accumulate;
      await this.#save(this.#position({ epoch, batch, running }));
      return undefined;
    }
  }

  /** The updates of an epoch from batch `start` on; false where it was interrupted, with a checkpoint written. */
  async #steps(epoch: number, start: number, running: Running): Promise<boolean> {
    const { trainer, loader, stepsPerEpoch, masks, schedule, readEvery } = this.#run;
    const { accumulate, batchSize, seed, checkpointEvery, epochs } = this.#settings;
    const { signal, progress } = this.#call;
    if (start >= stepsPerEpoch * accumulate) return true;
    let clock = performance.now();
    let waited = loader.waitSeconds;
    let micro = 0;
    let batch = start;
    /** Batches behind the last update. */
    let settled = start;
    const tick = (): void => {
      running.seconds += (performance.now() - clock) / 1000;
      running.waitSeconds += loader.waitSeconds - waited;
      clock = performance.now();
      waited = loader.waitSeconds;
    };
    const add = (measured: Measured | undefined): void => {
      if (measured === undefined) return;
      running.images += measured.microBatches * batchSize;
      running.loss += measured.loss * batchSize;
      running.correct += measured.correct;
      running.gradientNorm += measured.gradientNorm;
      running.steps += measured.updates;
      tick();
      progress?.step({
        epoch: epoch + 1,
        epochs,
        step: batch / accumulate,
        steps: stepsPerEpoch,
        loss: running.loss / running.images,
        top1: running.correct / running.images,
        imagesPerSecond: running.images / running.seconds,
        dataWaitShare: running.waitSeconds / running.seconds,
        ...this.#scaling(),
      });
    };
    const step = async ({ images, labels, targets, flips }: Batch): Promise<'next' | 'last' | 'stop'> => {
      const drawn = drawMasks(masks, batchSize, seed, trainer.step, micro);
      await trainer.accumulate({ images, labels: targets ?? labels, flips, masks: drawn });
      micro++;
      batch++;
      if (micro < accumulate) return 'next';
      micro = 0;
      const isLast = batch >= stepsPerEpoch * accumulate;
      const before = trainer.step;
      add(await trainer.update(learningRateAt(this.#tried, schedule)));
      settled = batch;
      const isStopped = signal?.aborted === true && !isLast;
      const isMoved = trainer.step > before;
      const isDue = !isLast && isMoved && checkpointEvery !== null && trainer.step % checkpointEvery === 0;
      // Nothing is saved, and no epoch ends, before the losses of all its updates were looked at.
      if (isLast || isStopped || isDue) add(await trainer.collect());
      if (isLast) return 'last';
      if (isDue && !isStopped) {
        await this.#save(this.#position({ epoch, batch, running: { ...running } }));
        clock = performance.now();
      }
      return isStopped ? 'stop' : 'next';
    };
    const batches = loader.batches(epoch, start);
    try {
      // Where the device works ahead, updates that were begun are waited for.
      for await (const each of readEvery > 1 ? batches : untilAborted(batches, signal)) {
        const outcome = await step(each);
        if (outcome === 'last') return true;
        if (outcome === 'stop') break;
      }
    } catch (error) {
      if (!(error instanceof LowrankError) || error.code !== 'ABORTED' || signal?.aborted !== true) throw error;
      trainer.abandon();
    }
    if (signal?.aborted !== true) return true;
    await this.#save(this.#position({ epoch, batch: settled, running: { ...running } }));
    return false;
  }

  async #finishEpoch(epoch: number, running: Running): Promise<TrainEpoch> {
    const { epochs } = this.#settings;
    const started = performance.now();
    const val = await this.#run.validate(
      (done, total) => this.#call.progress?.validating(epoch + 1, epochs, done, total),
      this.#call.signal,
    );
    if (val !== undefined && !Number.isFinite(val.loss)) {
      throw new LowrankError('NUMERIC', `the validation loss is ${val.loss}`, { place: `epoch ${epoch + 1}` });
    }
    const validation = (performance.now() - started) / 1000;
    this.#seconds.train += running.seconds;
    this.#seconds.validate += validation;
    const { trainer, schedule } = this.#run;
    const finished: TrainEpoch = {
      epoch: epoch + 1,
      steps: trainer.step,
      loss: running.loss / running.images,
      top1: running.correct / running.images,
      valLoss: val?.loss ?? null,
      valTop1: val?.top1 ?? null,
      valTop5: val?.top5 ?? null,
      lr: learningRateAt(this.#tried - 1, schedule),
      imagesPerSecond: running.images / running.seconds,
      dataWaitShare: running.waitSeconds / running.seconds,
      gradientNorm: running.steps === 0 ? null : running.gradientNorm / running.steps,
      seconds: running.seconds + validation,
      peakMemory: process.resourceUsage().maxRSS * 1024,
      ...this.#scaling(),
    };
    this.#epochs.push(finished);
    this.#call.progress?.epoch(finished, epochs);
    this.#call.onEpoch?.(finished);
    return finished;
  }

  /**
   * What to do where a loss, a gradient or a weight is not finite, or a run failed: the device was lost, or its memory given
   * out. Weights that gave no loss are no checkpoint.
   */
  #withAdvice(error: LowrankError): LowrankError {
    if (error.code === 'RUNTIME' || error.code === 'DEVICE') return resumable(error, this.#checkpoints.list()[0]);
    if (error.code !== 'NUMERIC') return error;
    this.#checkpoints.drop(this.#run.trainer.step);
    const [last] = this.#checkpoints.list();
    const from = last === undefined ? '' : `, from the model or from the last good checkpoint ${last}/model.onnx`;
    return new LowrankError('NUMERIC', error.fact, {
      ...(error.place === undefined ? {} : { place: error.place }),
      remedy: `${error.remedy ?? 'train with a lower --lr, with --clip 1 or a longer --warmup'}${from}`,
      cause: error,
    });
  }

  /** Updates that were done or skipped: what the schedule counts. */
  get #tried(): number {
    const { trainer } = this.#run;
    return trainer.step + (trainer.lossScale?.skipped ?? 0);
  }

  /** What reports and progress say of float16. */
  #scaling(): Pick<TrainEpoch, 'lossScale' | 'skippedUpdates'> {
    const { lossScale } = this.#run.trainer;
    return lossScale === undefined ? {} : { lossScale: lossScale.scale, skippedUpdates: lossScale.skipped };
  }

  #position(at: Pick<CheckpointPosition, 'epoch' | 'batch' | 'running'>): CheckpointPosition {
    const { step, lossScale } = this.#run.trainer;
    const start = this.#start === null ? {} : { start: this.#start };
    return { step, ...at, epochs: this.#epochs, ...start, ...(lossScale === undefined ? {} : { lossScale }) };
  }

  /** What there is to save. Throws NUMERIC where a weight is not finite. */
  async #state(): Promise<TrainingState> {
    const { trainer } = this.#run;
    const state = await trainer.read();
    for (const name of ['parameters', 'statistics', 'state', 'ema'] as const) {
      if (isFinite(state[name])) continue;
      throw new LowrankError('NUMERIC', `there are ${name} that are not finite`, { place: `step ${trainer.step}` });
    }
    return state;
  }

  #keepBest(): void {
    const best = bestEpoch(this.#epochs);
    const { steps } = this.#epochs.find(({ epoch }) => epoch === best?.epoch) ?? {};
    if (steps !== undefined) this.#checkpoints.keepBest(steps);
  }

  async #save(position: CheckpointPosition): Promise<void> {
    const started = performance.now();
    const state = await this.#state();
    const { saveEvery } = this.#settings;
    const isKept = position.batch === 0 && saveEvery !== null && position.epoch % saveEvery === 0;
    if (isKept) this.#checkpoints.keep(position.step);
    this.#keepBest();
    const write = (path: string): unknown => this.#run.writeModel(state, path);
    const path = this.#checkpoints.write(state, position, this.#identity, write, this.#saved);
    this.#checkpoint = { path, epoch: this.#epochs.length, steps: position.step };
    this.#seconds.write += (performance.now() - started) / 1000;
  }

  /** Writes the epoch that was chosen, and says which. */
  async #write(): Promise<void> {
    const started = performance.now();
    const { output } = this.#call;
    const { epoch, state, chosen } = await this.#chosen();
    // Whatever was there may go: `checkWritable` has asked.
    const { bytes } = this.#run.writeModel(state, output, true);
    this.#output = { path: output, bytes, sha256: drain(fileSha256(output)) };
    this.#written = { epoch: epoch.epoch, valTop1: epoch.valTop1, valLoss: epoch.valLoss, chosen };
    this.#seconds.write += (performance.now() - started) / 1000;
  }

  /** The epoch to write, the best where one was validated, with its weights. */
  async #chosen(): Promise<{ epoch: TrainEpoch; state: TrainingState; chosen: 'best' | 'last' }> {
    const last = this.#epochs.at(-1)!;
    const best = this.#call.writes === 'last' ? null : bestEpoch(this.#epochs);
    const epoch = this.#epochs.find((each) => each.epoch === best?.epoch);
    if (epoch === undefined || epoch === last) {
      return { epoch: last, state: await this.#state(), chosen: epoch === undefined ? 'last' : 'best' };
    }
    try {
      return { epoch, state: this.#checkpoints.read(epoch.steps), chosen: 'best' };
    } catch (error) {
      const reason = error instanceof LowrankError ? error.fact : messageOf(error);
      this.#warn(
        `the best epoch, ${epoch.epoch}, cannot be written, but the last: its checkpoint is damaged (${reason})`,
      );
      return { epoch: last, state: await this.#state(), chosen: 'last' };
    }
  }

  #settingsRecord(): Readonly<Record<string, unknown>> {
    const { data, val, classes, output, tensorboard, report, preset } = this.#call;
    return {
      data,
      val: val ?? null,
      classes: classes ?? null,
      output,
      tensorboard: tensorboard ?? null,
      report: report ?? null,
      preset: preset ?? null,
      resume: this.#call.resume === true,
      ...this.#settings,
      threads: this.#run.threads,
    };
  }

  #report(status: TrainReport['status'], reason: string | null): TrainReport {
    const { bad } = this.#run.loader;
    const { command, resumeCommand } = this.#call;
    const best = bestEpoch(this.#epochs);
    const written = this.#written;
    const reached = written?.valTop1 == null ? best : { epoch: written.epoch, top1: written.valTop1 };
    const isResumable = status === 'interrupted' && this.#checkpoint !== null && resumeCommand !== undefined;
    return inWords<TrainReport>({
      schema: 'lowrank.train/1',
      tool,
      ...(command === undefined ? {} : { command }),
      seed: this.#settings.seed,
      model: this.#run.model,
      settings: this.#settingsRecord(),
      data: this.#run.data,
      start: this.#start,
      epochs: this.#epochs,
      best,
      resumedFrom: this.#resumedFrom,
      checkpoint: this.#checkpoint,
      ...(isResumable ? { resume: resumeCommand } : {}),
      badImages: { count: bad.length, names: bad.slice(0, 10).map(({ name }) => name) },
      output: this.#output,
      written,
      verdict: trainVerdict(this.#start, reached, this.#settings),
      warnings: this.#run.warnings,
      seconds: { ...this.#seconds, total: (performance.now() - this.#started) / 1000 },
      status,
      reason,
    });
  }
}
