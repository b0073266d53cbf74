import type { TrainEpoch, TrainReport } from '../contracts/train.js';
import { LowrankError, throwIfAborted } from '../errors.js';
import { saving } from '../files/saving.js';
import {
  createTensorBoardWriter,
  epochScalars,
  settingsMarkdown,
  startScalars,
  type TensorBoardWriter,
} from '../report/tensorboard.js';
import { startLine } from '../report/train-progress.js';
import type { LossScale } from '../step/loss-scale.js';
import type { TrainingState } from '../step/vectors.js';
import { Bookkeeping } from './bookkeeping.js';
import { checkpointsOf, openCheckpoints } from './checkpoint.js';
import type { CheckpointPosition } from '../contracts/checkpoint.js';
import { EpochSteps, finishEpoch, nothing, type Running } from './epoch.js';
import { fewUpdates } from './few-updates.js';
import { goBack, isFallen, isMendable } from './retreat.js';
import { type Journal, reportOf, secondsSince, settingsRecord, triedUpdates, warn } from './journal.js';

/** What a segment begins with that goes on from another. */
export interface Carried {
  readonly state: TrainingState;
  readonly step: number;
  readonly lossScale: LossScale | undefined;
}

/** What is done at the edges of a segment, and behind its epochs. */
export interface SegmentHooks {
  /** Before its first update; not where it is resumed. */
  begin?(journal: Journal): Promise<void>;
  /** Behind each epoch, before that is saved: whether it was the last of the segment. What it puts into the journal is saved with it. */
  isOver?(journal: Journal): Promise<boolean>;
}

/**
 * One segment of a training, from what is carried over, its first step or its checkpoint to its end, and behind the last the
 * written model. undefined: the next segment comes.
 */
export async function runSegment(
  journal: Journal,
  carried: Carried | undefined,
  hooks: SegmentHooks,
): Promise<TrainReport | undefined> {
  const { call, session, settings } = journal;
  const { strict } = call;
  const content = strict === undefined ? 'small' : strict ? 'always' : 'never';
  const folder = openCheckpoints(checkpointsOf(call.output), settings.keepCheckpoints);
  const bookkeeping = new Bookkeeping(journal, folder, await session.stampImages(content));
  const checkpoint = carried === undefined ? bookkeeping.resume() : undefined;
  const position = checkpoint?.position;
  const isNew = position === undefined && carried === undefined;
  if (isNew) warn(journal, fewUpdates(settings, session.stepsPerEpoch));
  const { step = 0, lossScale } = carried ?? position ?? {};
  await session.start((carried ?? checkpoint)?.state, step, lossScale, position?.rankRoom);
  if (carried !== undefined) journal.segment.tried = triedUpdates(session.trainer);
  const board = openBoard(journal, isNew ? undefined : step);
  if (carried === undefined) journal.seconds.prepare = secondsSince(journal.started);
  try {
    return await saving(() => trainEpochs(journal, bookkeeping, hooks, position, isNew, board));
  } catch (error) {
    const advised = error instanceof LowrankError ? bookkeeping.withAdvice(error) : error;
    bookkeeping.reinstate();
    throw advised;
  } finally {
    board?.close();
    call.progress?.done();
  }
}

function openBoard(journal: Journal, resumedAt: number | undefined): TensorBoardWriter | undefined {
  const { tensorboard } = journal.call;
  if (tensorboard === undefined) return undefined;
  const board = createTensorBoardWriter(tensorboard, resumedAt === undefined ? {} : { resumedAt });
  board.text(0, 'settings', settingsMarkdown(settingsRecord(journal)));
  return board;
}

/** All epochs of the segment from a position on and, behind the last of the training, the model. */
async function trainEpochs(
  journal: Journal,
  bookkeeping: Bookkeeping,
  hooks: SegmentHooks,
  position: CheckpointPosition | undefined,
  isNew: boolean,
  board: TensorBoardWriter | undefined,
): Promise<TrainReport | undefined> {
  const { session, settings, segment } = journal;
  const { epochs } = settings;
  const isStopped = (): boolean => journal.call.signal?.aborted === true;
  const interrupted = (): TrainReport => {
    bookkeeping.reinstate();
    return reportOf(journal, 'interrupted', 'stopped by the user');
  };
  let running: Running = position === undefined ? nothing() : { ...position.running };
  let batch = position?.batch ?? 0;
  if (position === undefined && !isStopped()) await hooks.begin?.(journal);
  if (isNew && !isStopped()) await measureStart(journal, board);
  // Nothing was done that could be lost.
  if (isStopped()) return interrupted();
  for (let epoch = position?.epoch ?? segment.from; epoch < segment.until; epoch++) {
    if (batch === 0 && isFallen(journal))
      await goBack(journal, bookkeeping, journal.epochs.at(-1)!, session.trainer.step);
    const finished = await trainEpochAgain(journal, bookkeeping, epoch, batch, running);
    if (finished === undefined) return interrupted();
    board?.scalars(finished.steps, epochScalars(finished));
    running = nothing();
    batch = 0;
    if ((await hooks.isOver?.(journal)) === true && epoch + 1 < segment.until) {
      segment.until = epoch + 1;
      segment.isShort = true;
    }
    await bookkeeping.save({ epoch: epoch + 1, batch: 0, running });
    if (isStopped() && epoch + 1 < epochs) return interrupted();
  }
  if (segment.until < epochs) return undefined;
  await bookkeeping.write();
  return reportOf(journal, 'finished', null);
}

/** Epoch 0. It is left out where it is interrupted. */
async function measureStart(journal: Journal, board: TensorBoardWriter | undefined): Promise<void> {
  const { call, session, seconds } = journal;
  if (call.validatesStart === false) return;
  const { epochs } = journal.settings;
  const { progress, signal } = call;
  const started = performance.now();
  const val = await session
    .validate((done, total) => progress?.validating(0, epochs, done, total), signal)
    .catch((error: unknown) => {
      if (!(error instanceof LowrankError) || error.code !== 'ABORTED') throw error;
      return undefined;
    });
  seconds.validate += secondsSince(started);
  if (val === undefined) return;
  const start = { valLoss: Number.isFinite(val.loss) ? val.loss : null, valTop1: val.top1, valTop5: val.top5 };
  journal.start = start;
  progress?.note(startLine(start, epochs));
  board?.scalars(0, startScalars(start));
}

/** As `trainEpoch`; an epoch with a loss, a gradient or a weight that is not finite is begun again from earlier weights. */
async function trainEpochAgain(
  journal: Journal,
  bookkeeping: Bookkeeping,
  epoch: number,
  start: number,
  running: Running,
): Promise<TrainEpoch | undefined> {
  try {
    return await trainEpoch(journal, bookkeeping, epoch, start, running);
  } catch (error) {
    if (!isMendable(journal, error)) throw error;
    await goBack(journal, bookkeeping, { epoch: epoch + 1, valTop1: null }, journal.epochs.at(-1)?.steps ?? 0);
    return trainEpochAgain(journal, bookkeeping, epoch, 0, nothing());
  }
}

/** Trains an epoch from batch `start` on and validates; undefined where it was interrupted, with a checkpoint written. */
async function trainEpoch(
  journal: Journal,
  bookkeeping: Bookkeeping,
  epoch: number,
  start: number,
  running: Running,
): Promise<TrainEpoch | undefined> {
  if (!(await new EpochSteps(journal, bookkeeping, epoch, start, running).run())) return undefined;
  const { call, session, settings } = journal;
  try {
    throwIfAborted(call.signal);
    return await finishEpoch(journal, epoch, running);
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'ABORTED') throw error;
    await bookkeeping.save({ epoch, batch: session.stepsPerEpoch * settings.accumulate, running });
    return undefined;
  }
}
