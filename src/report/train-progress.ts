import { formatLoss, formatPercent, formatRate, formatSeconds, formatSpeed } from './format.js';
import { createLiveLine, type ProgressStream } from './live-line.js';
import { type Progress, timeLeft } from './progress.js';
import { ranksText } from './ranks-text.js';
import { displayWidth, truncate } from './text.js';
import type { TrainEpoch, TrainStart } from '../contracts/train.js';

/** How far an epoch is. Shares and accuracies are fractions of 1. */
export interface TrainStep {
  readonly epoch: number;
  readonly epochs: number;
  /** Updates of this epoch that are done, and all of them. */
  readonly step: number;
  readonly steps: number;
  /** Means over the epoch so far. */
  readonly loss: number;
  readonly top1: number;
  readonly imagesPerSecond: number;
  readonly dataWaitShare: number;
  /** With float16: what the loss is multiplied by, and updates left out so far. */
  readonly lossScale?: number;
  readonly skippedUpdates?: number;
}

export interface TrainProgress {
  /** Redraws the line, at most ten times a second. For every update of the parameters. */
  step(step: TrainStep): void;
  /** The same while validating; `done` of `total` in any unit. */
  validating(epoch: number, epochs: number, done: number, total: number): void;
  /** The epoch's line, which stays: on a terminal and in a file alike. */
  epoch(epoch: TrainEpoch, epochs: number): void;
  /** A line that stays, such as a warning. */
  note(line: string): void;
  /** Removes the live line. Call it before anything else is written, and at the end. */
  done(): void;
}

export interface TrainProgressOptions {
  /** `process.stderr`: the live line on a terminal, the lines of epochs anywhere. */
  readonly stream: ProgressStream;
  /** Nothing at all is written where false. */
  readonly enabled: boolean;
  /** Milliseconds that only grow. Default: `performance.now`. */
  readonly now?: () => number;
  /** What is shown until the first step or validation. Default: nothing. */
  readonly preparing?: { readonly progress: Progress; readonly detail: string };
}

const BAR_WIDTH = 12;
/** A speed measured over less than this says little. */
const SHORTEST_MEASUREMENT_MS = 2000;

/** "epoch 3/90  loss 0.4321  top-1 88.0 %  val loss 0.5012  val top-1 86.1 %  …": everything about an epoch on one line. */
export function epochLine(epoch: TrainEpoch, epochs: number): string {
  const { valLoss, valTop1, valTop5 } = epoch;
  return [
    `epoch ${String(epoch.epoch).padStart(String(epochs).length)}/${epochs}`,
    `loss ${formatLoss(epoch.loss)}`,
    `top-1 ${formatPercent(epoch.top1)}`,
    ...(valLoss === null ? [] : [`val loss ${formatLoss(valLoss)}`]),
    ...(valTop1 === null ? [] : [`val top-1 ${formatPercent(valTop1)}`]),
    ...(valTop5 === null ? [] : [`val top-5 ${formatPercent(valTop5)}`]),
    `lr ${formatRate(epoch.lr)}`,
    ...scaling(epoch),
    ...(epoch.adaptation === undefined ? [] : [ranksText(epoch.adaptation)]),
    formatSpeed(epoch.imagesPerSecond),
    `data wait ${formatPercent(epoch.dataWaitShare)}`,
    formatSeconds(epoch.seconds),
  ].join('  ');
}

/** "epoch 0/90  before training  val loss 2.3026  val top-1 10.1 %  …": what there is to say of the start, like an epoch. */
export function startLine({ valLoss, valTop1, valTop5 }: TrainStart, epochs: number): string {
  return [
    `epoch ${'0'.padStart(String(epochs).length)}/${epochs}`,
    'before training',
    ...(valLoss === null ? [] : [`val loss ${formatLoss(valLoss)}`]),
    `val top-1 ${formatPercent(valTop1)}`,
    ...(valTop5 === null ? [] : [`val top-5 ${formatPercent(valTop5)}`]),
  ].join('  ');
}

/** "loss scale 65536", and how many updates it cost. */
function scaling({ lossScale, skippedUpdates = 0 }: Pick<TrainEpoch, 'lossScale' | 'skippedUpdates'>): string[] {
  if (lossScale === undefined) return [];
  return [`loss scale ${lossScale}`, ...(skippedUpdates === 0 ? [] : [`skipped ${skippedUpdates}`])];
}

interface Part {
  readonly text: string;
  /** Where the terminal is too narrow, the part with the smallest importance goes first. */
  readonly importance: number;
}

function joinFitting(parts: readonly Part[], columns: number): string {
  let kept = parts.filter(({ text }) => text !== '');
  const joined = (): string => kept.map(({ text }) => text).join('  ');
  while (kept.length > 1 && displayWidth(joined()) > columns) {
    const least = Math.min(...kept.map(({ importance }) => importance));
    kept = kept.filter(({ importance }) => importance !== least);
  }
  return truncate(joined(), columns);
}

function bar(done: number, total: number): string {
  const filled = Math.round(BAR_WIDTH * Math.min(1, Math.max(0, total > 0 ? done / total : 0)));
  return `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]`;
}

function stepLine(step: TrainStep, left: number | undefined, columns: number): string {
  return joinFitting(
    [
      { text: `epoch ${step.epoch}/${step.epochs}`, importance: 8 },
      { text: bar(step.step, step.steps), importance: 1 },
      { text: `${step.step}/${step.steps}`, importance: 2 },
      { text: `loss ${formatLoss(step.loss)}`, importance: 7 },
      { text: `top-1 ${formatPercent(step.top1)}`, importance: 5 },
      { text: formatSpeed(step.imagesPerSecond), importance: 4 },
      { text: `wait ${formatPercent(step.dataWaitShare)}`, importance: 3 },
      { text: scaling(step).join('  '), importance: 2.5 },
      { text: left === undefined ? '' : timeLeft(left), importance: 6 },
    ],
    columns,
  );
}

/** Seconds until the last update, at the mean speed since the first call: validation in between counts. */
function createClock(now: () => number): (step: TrainStep) => number | undefined {
  let start: { readonly time: number; readonly done: number } | undefined;
  return ({ epoch, epochs, step, steps }) => {
    const done = (epoch - 1) * steps + step;
    start ??= { time: now(), done };
    const elapsed = now() - start.time;
    if (elapsed < SHORTEST_MEASUREMENT_MS || done <= start.done) return undefined;
    return ((elapsed / 1000) * Math.max(0, epochs * steps - done)) / (done - start.done);
  };
}

/** What a training run does, for people: a live line with the time left on a terminal, one line an epoch anywhere. */
export function createTrainProgress(options: TrainProgressOptions): TrainProgress {
  const { stream, enabled, now = () => performance.now() } = options;
  const line = createLiveLine({ stream, enabled, now });
  const secondsLeft = createClock(now);
  let { preparing } = options;
  const prepare = (): void =>
    preparing?.progress.update({ phase: 'preparing', done: 0, total: 1, detail: preparing.detail });
  const prepared = (): void => {
    preparing?.progress.done();
    preparing = undefined;
  };
  prepare();
  let phase = '';
  const isNew = (name: string): boolean => {
    const hasChanged = name !== phase;
    phase = name;
    return hasChanged;
  };
  const write = (text: string): void => {
    preparing?.progress.done();
    line.clear();
    if (enabled) stream.write(`${text}\n`);
    prepare();
  };
  return {
    step(step) {
      prepared();
      const left = secondsLeft(step);
      line.draw((columns) => stepLine(step, left, columns), isNew(`train ${step.epoch}`));
    },
    validating(epoch, epochs, done, total) {
      prepared();
      const parts = [
        { text: `epoch ${epoch}/${epochs}`, importance: 4 },
        { text: 'validating', importance: 3 },
        { text: bar(done, total), importance: 1 },
        { text: `${done}/${total}`, importance: 2 },
      ];
      line.draw((columns) => joinFitting(parts, columns), isNew(`validate ${epoch}`));
    },
    epoch(epoch, epochs) {
      write(epochLine(epoch, epochs));
    },
    note: write,
    done() {
      prepared();
      line.clear();
    },
  };
}
