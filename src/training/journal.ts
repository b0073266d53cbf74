import { bestEpoch, type TrainEpoch, type TrainReport } from '../contracts/train.js';
import { inWords, inWordsOfCaller } from '../errors.js';
import { trainVerdict } from '../report/train-verdict.js';
import { tool } from '../version.js';
import type { TrainCall, TrainSettings } from './options.js';
import { learningRateAt } from './schedule.js';
import type { TrainingSession } from './session.js';
import type { Trainer } from './trainer.js';

type Mutable<Type> = { -readonly [Name in keyof Type]: Type[Name] };

/** Where a segment lies in its training. */
export interface SegmentPlace {
  /** From 0. */
  readonly index: number;
  readonly name: string;
  /** Whether it is the whole training: then nothing names it. */
  readonly isAlone: boolean;
  /** Epochs before it, and with it. */
  readonly from: number;
  readonly until: number;
  /** `triedUpdates` before it. */
  tried: number;
}

/** What a training was told and what has become of it so far: what its checkpoints and its report say. */
export interface Journal extends Mutable<
  Pick<TrainReport, 'start' | 'resumedFrom' | 'checkpoint' | 'output' | 'written'>
> {
  readonly call: TrainCall;
  readonly settings: TrainSettings;
  readonly session: TrainingSession;
  readonly segment: SegmentPlace;
  /** `performance.now()` when it began. */
  readonly started: number;
  readonly epochs: TrainEpoch[];
  /** Without `total`. */
  readonly seconds: { prepare: number; train: number; validate: number; write: number };
}

export function beginJournal(told: Pick<Journal, 'call' | 'settings' | 'session' | 'segment' | 'started'>): Journal {
  return {
    ...told,
    epochs: [],
    seconds: { prepare: 0, train: 0, validate: 0, write: 0 },
    start: null,
    resumedFrom: null,
    checkpoint: null,
    output: null,
    written: null,
  };
}

/** A line that is said at once, and stands in the report. */
export function warn({ session, call }: Journal, line: string | undefined): void {
  if (line === undefined) return;
  session.warnings.push(line);
  call.progress?.note(inWordsOfCaller(`warning: ${line}`));
}

/** Seconds since a time of `performance.now()`. */
export function secondsSince(time: number): number {
  return (performance.now() - time) / 1000;
}

/** Updates that were done or skipped. */
export function triedUpdates({ step, lossScale }: Trainer): number {
  return step + (lossScale?.skipped ?? 0);
}

/** The learning rate of an update, from 0, of those that were done or skipped: earlier segments count as if their batches had been this one's. */
export function rateOf({ session, segment }: Journal, update: number): number {
  return learningRateAt(segment.from * session.stepsPerEpoch + update - segment.tried, session.schedule);
}

/** The epochs of the segment, whose weights are those of one model. */
export function ownEpochs({ epochs, segment }: Journal): readonly TrainEpoch[] {
  return epochs.filter(({ epoch }) => epoch > segment.from);
}

/** What reports and progress say of float16. */
export function scalingOf({ lossScale }: Trainer): Pick<TrainEpoch, 'lossScale' | 'skippedUpdates'> {
  return lossScale === undefined ? {} : { lossScale: lossScale.scale, skippedUpdates: lossScale.skipped };
}

/** Every option with its value. */
export function settingsRecord({ call, settings, session }: Journal): Readonly<Record<string, unknown>> {
  const { data, val, classes, output, tensorboard, report, preset, resume } = call;
  return {
    data,
    val: val ?? null,
    classes: classes ?? null,
    output,
    tensorboard: tensorboard ?? null,
    report: report ?? null,
    preset: preset ?? null,
    resume: resume === true,
    ...settings,
    threads: session.threads,
  };
}

export function reportOf(journal: Journal, status: TrainReport['status'], reason: string | null): TrainReport {
  const { call, settings, session, epochs, written, checkpoint } = journal;
  const { bad } = session.loader;
  const { command, resumeCommand } = call;
  const best = bestEpoch(ownEpochs(journal));
  const reached = written?.valTop1 == null ? best : { epoch: written.epoch, top1: written.valTop1 };
  const isResumable = status === 'interrupted' && checkpoint !== null && resumeCommand !== undefined;
  return inWords<TrainReport>({
    schema: 'lowrank.train/1',
    tool,
    ...(command === undefined ? {} : { command }),
    seed: settings.seed,
    model: session.model,
    settings: settingsRecord(journal),
    data: session.data,
    start: journal.start,
    epochs,
    best,
    resumedFrom: journal.resumedFrom,
    checkpoint,
    ...(isResumable ? { resume: resumeCommand } : {}),
    badImages: { count: bad.length, names: bad.slice(0, 10).map(({ name }) => name) },
    output: journal.output,
    written,
    verdict: trainVerdict(journal.start, reached, settings),
    warnings: session.warnings,
    seconds: { ...journal.seconds, total: secondsSince(journal.started) },
    status,
    reason,
  });
}
