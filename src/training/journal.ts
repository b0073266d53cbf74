import {
  bestEpoch,
  type FoundRate,
  isBetter,
  type StableRank,
  type TrainConversion,
  type TrainEpoch,
  type TrainReport,
  type TrainRetreat,
} from '../contracts/train.js';
import { sizeOf } from '../adapt/ranks.js';
import { inWords, inWordsOfCaller } from '../errors.js';
import { trainVerdict } from '../report/train-verdict.js';
import { tool } from '../version.js';
import type { Adaptation } from './adaptation.js';
import { describeAdaptation } from './found-ranks.js';
import type { TrainCall, TrainSettings } from './options.js';
import { learningRateAt, scheduleOf } from './schedule.js';
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
  from: number;
  until: number;
  /** Whether it ended before it had all of its epochs. */
  isShort: boolean;
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
  readonly retreats: TrainRetreat[];
  /** Where the learning rate was searched for. */
  readonly foundRate: FoundRate | undefined;
  /** Of layers in full rank, where they are watched. */
  stableRanks: readonly StableRank[] | undefined;
  /** Behind the conversion of a training that begins in full rank. */
  conversion: TrainConversion | undefined;
  /** Without `total`. */
  readonly seconds: { prepare: number; train: number; validate: number; write: number };
}

export function beginJournal(
  told: Pick<Journal, 'call' | 'settings' | 'session' | 'segment' | 'started' | 'foundRate'>,
): Journal {
  return {
    ...told,
    epochs: [],
    retreats: [],
    stableRanks: undefined,
    conversion: undefined,
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
export function rateOf({ session, segment, settings, retreats }: Journal, update: number): number {
  const { stepsPerEpoch } = session;
  const schedule = scheduleOf(settings, stepsPerEpoch);
  const rate = learningRateAt(segment.from * stepsPerEpoch + update - segment.tried, schedule);
  return rate * (retreats.at(-1)?.rateFactor ?? 1);
}

/** The epochs of the segment, whose weights are those of one model. */
export function ownEpochs({ epochs, segment }: Journal): readonly TrainEpoch[] {
  return epochs.filter(({ epoch }) => epoch > segment.from);
}

/**
 * The epochs of the segment of which the best is written: where ranks are found for a size, those that have come down to it, as long
 * as there is one.
 */
export function contestants(journal: Journal): readonly TrainEpoch[] {
  const { adaptation } = journal.session;
  return ownEpochs(journal).filter(({ adaptation: found }) => found === undefined || isSmall(adaptation, found.ranks));
}

/** Whether a model of these ranks, or the start's, is as small as was asked for. */
function isSmall(adaptation: Adaptation | undefined, ranks?: readonly number[]): boolean {
  const target = adaptation?.rule.target;
  if (target === undefined) return true;
  return (ranks === undefined ? target.start : sizeOf(adaptation!.layers, ranks, target)) <= target.most;
}

/** Weights that were validated: of an epoch, or with 0 of the start. */
export type Weights = Pick<TrainEpoch, 'epoch' | 'steps' | 'valTop1' | 'valLoss'>;

/**
 * The best weights by the validation images: the best epoch's, or the start's where no epoch is better. Those of a segment
 * behind others, and of a new head, have no start to go by. null where no epoch was validated.
 */
export function bestOrStart(journal: Journal, epochs: readonly TrainEpoch[] = contestants(journal)): Weights | null {
  const { start, settings, segment, session } = journal;
  const best = epochs.find(({ epoch }) => epoch === bestEpoch(epochs)?.epoch);
  if (start === null || settings.newHead || !segment.isAlone || !isSmall(session.adaptation)) return best ?? null;
  if (best !== undefined && isBetter(best, start)) return best;
  return { epoch: 0, steps: 0, valTop1: start.valTop1, valLoss: start.valLoss };
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
  const best = bestEpoch(contestants(journal));
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
    ...describeAdaptation(session.adaptation, settings),
    ...(journal.foundRate === undefined ? {} : { foundRate: journal.foundRate }),
    retreats: journal.retreats,
    ...(journal.conversion === undefined ? {} : { conversion: journal.conversion }),
    resumedFrom: journal.resumedFrom,
    checkpoint,
    ...(isResumable ? { resume: resumeCommand } : {}),
    badImages: { count: bad.length, names: bad.slice(0, 10).map(({ name }) => name) },
    output: journal.output,
    written,
    verdict: trainVerdict(journal.start, reached, settings, best),
    warnings: session.warnings,
    seconds: { ...journal.seconds, total: secondsSince(journal.started) },
    status,
    reason,
  });
}
