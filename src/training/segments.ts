import { join } from 'node:path';
import type { Preparation } from '../contracts/images.js';
import type { FoundRate, TrainReport } from '../contracts/train.js';
import { LowrankError } from '../errors.js';
import type { LossScale } from '../step/loss-scale.js';
import { startAverages, type TrainingState } from '../step/vectors.js';
import type { LaidOut } from '../step/laid-out.js';
import { type Carrying, carryState } from './carry.js';
import { checkpointsOf } from './checkpoint.js';
import { newestSegment } from './newest-checkpoint.js';
import { beginJournal, type Journal, type SegmentPlace } from './journal.js';
import type { TrainCall, TrainSettings } from './options.js';
import { closeInTime, type TrainingSession } from './session.js';
import { outOfMemory } from './out-of-memory.js';
import { type Carried, runSegment, type SegmentHooks } from './training.js';

/**
 * Epochs of a training in which its graphs stay as they are. Between two segments they may be rebuilt: other ranks, another
 * form, another frozen set, another batch.
 */
export interface Segment extends Carrying, SegmentHooks {
  /** What checkpoints call it. */
  readonly name: string;
  /** How many epochs, or fewer where it `isOver`; the last segment has all that are left of `settings.epochs`, which is that of the whole training. */
  readonly epochs: number;
  /**
   * Opens model and graphs; the result is closed. `model` has the weights that the segment before ended with, and stays as it is
   * where the training is resumed; undefined in the first segment. What is opened from it must be the same then. `before` is the
   * journal of the segment before, where that was trained by this process.
   */
  open(model: string | undefined, before: Journal | undefined): Promise<OpenedSegment>;
}

export interface OpenedSegment {
  readonly settings: TrainSettings;
  readonly session: TrainingSession;
  /** How the learning rate of the settings was found, if it was. */
  readonly foundRate?: FoundRate | undefined;
  /** For the report. */
  readonly preparation?: Preparation;
}

/** What a segment ended with. */
interface Ended extends LaidOut {
  readonly journal: Journal;
  readonly step: number;
  readonly lossScale: LossScale | undefined;
}

/**
 * Trains all segments, from the first or from that of the newest checkpoint on; `started` is of `performance.now()`. What the
 * report says of the model and of images left out is of the segment that it ends in.
 */
export async function runSegments(
  call: TrainCall,
  segments: readonly Segment[],
  started: number,
): Promise<TrainReport> {
  const isResumed = call.resume === true;
  const first = isResumed && segments.length > 1 ? newestSegment(call.output) : 0;
  let index = Math.min(first, segments.length - 1);
  let before: Ended | undefined;
  for (;;) {
    try {
      const result = await openAndRun(call, segments, index, before, started);
      if ('report' in result) return result.report;
      before = result;
      index++;
    } catch (error) {
      const isAborted = error instanceof LowrankError && error.code === 'ABORTED';
      throw isAborted ? notBegun(error, isResumed || before !== undefined, isResumed) : error;
    }
  }
}

async function openAndRun(
  call: TrainCall,
  segments: readonly Segment[],
  index: number,
  before: Ended | undefined,
  started: number,
): Promise<Ended | { readonly report: TrainReport }> {
  const segment = segments[index]!;
  const model = index === 0 ? undefined : borderModel(call, index);
  const { session, settings, preparation, foundRate } = await segment.open(model, before?.journal);
  try {
    const place = placeOf(segments, index, settings, before?.journal.segment.until);
    const told = { call, settings, session, started, foundRate, segment: place };
    const journal = before === undefined ? beginJournal(told) : { ...before.journal, ...told };
    const warned = before?.journal.session.warnings ?? [];
    session.warnings.unshift(...warned.filter((line) => !session.warnings.includes(line)));
    const carried = before === undefined ? undefined : await carriedState(before, session, segment);
    const report = await runSegment(journal, carried, segment);
    if (report !== undefined) return { report: { ...report, ...(preparation === undefined ? {} : { preparation }) } };
    const ended = await endOf(journal);
    const write = await session.modelOf(withoutAverages(ended.state));
    write(borderModel(call, index + 1), true);
    return ended;
  } catch (error) {
    // A buffer of JavaScript that could not be made.
    throw error instanceof RangeError ? outOfMemory(error) : error;
  } finally {
    await closeInTime(session, call.signal);
  }
}

/** `begun` are the epochs before it, where they are known: the checkpoint says it of a segment that is resumed. */
function placeOf(
  segments: readonly Segment[],
  index: number,
  settings: TrainSettings,
  begun: number | undefined,
): SegmentPlace {
  const { name, epochs } = segments[index]!;
  const from = begun ?? segments.slice(0, index).reduce((sum, each) => sum + each.epochs, 0);
  const isLast = index === segments.length - 1;
  const until = isLast ? settings.epochs : from + epochs;
  return { index, name, isAlone: segments.length === 1, from, until, isShort: false, tried: 0 };
}

/** The same interruption, with what became of the work. */
function notBegun(error: LowrankError, isSaved: boolean, isResumed: boolean): LowrankError {
  const fact = isSaved ? 'the checkpoint is as it was' : 'nothing was trained yet, and nothing is saved';
  return new LowrankError('ABORTED', `${error.fact}: ${fact}`, {
    remedy: isSaved && !isResumed ? 'go on with --resume' : 'run the same command again',
    cause: error,
  });
}

/** The model that a segment begins with. */
function borderModel({ output }: TrainCall, index: number): string {
  return join(checkpointsOf(output), `segment-${index}.onnx`);
}

async function endOf(journal: Journal): Promise<Ended> {
  const { trainer, layout } = journal.session;
  const { parameters, statistics, state, ema } = await trainer.read();
  const copies = {
    parameters: parameters.slice(),
    statistics: statistics.slice(),
    state: state.slice(),
    ema: ema.slice(),
  };
  return { journal, state: copies, layout, step: trainer.step, lossScale: trainer.lossScale };
}

/** The same state, whose averages are what they would be of weights that never moved. */
function withoutAverages(state: TrainingState): TrainingState {
  const plain = { ...state, ema: new Float32Array(state.ema.length) };
  if (plain.ema.length > 0) startAverages(plain);
  return plain;
}

async function carriedState(before: Ended, session: TrainingSession, carrying: Carrying): Promise<Carried> {
  const state = await session.initial();
  await carryState(before, { state, layout: session.layout }, carrying);
  return { state, step: before.step, lossScale: before.lossScale };
}
