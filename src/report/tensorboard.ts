import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from '../make-folder.js';
import { LowrankError, messageOf } from '../errors.js';
import { eventBytes, type EventContent, type SummaryValue } from './tensorboard/event.js';
import { tfRecord } from './tensorboard/record.js';
import type { EpochRanks, TrainEpoch, TrainReport, TrainStart } from '../contracts/train.js';

/** Writes one event file. Every call is in the file when it returns, so a killed run loses nothing. */
export interface TensorBoardWriter {
  /** Where the events go. */
  readonly path: string;
  /** Numbers by tag ("loss/train"); null and undefined leave no point, NaN and infinities are shown as such. */
  scalars(step: number, values: Readonly<Record<string, number | null | undefined>>): void;
  /** Markdown, in TensorBoard's tab of texts. */
  text(step: number, tag: string, markdown: string): void;
  /** The distribution of the values in 30 buckets; those that are not finite are left out. */
  histogram(step: number, tag: string, values: ArrayLike<number>): void;
  /** Later calls throw. */
  close(): void;
}

export interface TensorBoardOptions {
  /** Updates that a resumed run has behind it: points of earlier files beyond this step disappear in TensorBoard. */
  readonly resumedAt?: number;
  /** Milliseconds since 1970. Default: `Date.now`. */
  readonly now?: () => number;
}

/** Files begun by this process: their names must differ within a second too. */
let count = 0;

function open(folder: string, time: number): { readonly path: string; readonly descriptor: number } {
  try {
    makeFolder(folder);
    // TensorBoard reads all files of a folder in the order of their names: the seconds have ten digits until 2286.
    const seconds = String(Math.floor(time / 1000)).padStart(10, '0');
    const path = join(folder, `events.out.tfevents.${seconds}.lowrank.${process.pid}.${(count += 1)}`);
    return { path, descriptor: openSync(path, 'ax') };
  } catch (error) {
    throw new LowrankError('OUTPUT', `cannot write TensorBoard events: ${messageOf(error)}`, {
      place: folder,
      remedy: 'give --tensorboard a folder that can be written',
      cause: error,
    });
  }
}

/**
 * Begins a new event file in the folder, which is made where it is missing; a resumed run begins one too, next to the files
 * it went on from. Throws OUTPUT where the folder or the file cannot be written, also later.
 */
export function createTensorBoardWriter(folder: string, options: TensorBoardOptions = {}): TensorBoardWriter {
  const { resumedAt, now = Date.now } = options;
  const { path, descriptor } = open(folder, now());
  let isOpen = true;
  let size = 0;
  const append = (step: number, content: EventContent): void => {
    if (!isOpen) throw new LowrankError('INTERNAL', 'the event file is closed', { place: path });
    const record = tfRecord(eventBytes(now() / 1000, step, content));
    try {
      let written = 0;
      while (written < record.length) written += writeSync(descriptor, record, written);
      size += written;
    } catch (error) {
      // A torn record would hide all that follows.
      ftruncateSync(descriptor, size);
      throw new LowrankError('OUTPUT', `cannot write TensorBoard events: ${messageOf(error)}`, {
        place: path,
        remedy: 'free space on the disk, or train without --tensorboard',
        cause: error,
      });
    }
  };
  append(0, { kind: 'version' });
  if (resumedAt !== undefined) append(resumedAt + 1, { kind: 'restart' });
  return {
    path,
    scalars(step, values) {
      const points = Object.entries(values).flatMap(([tag, value]): SummaryValue[] =>
        value === null || value === undefined ? [] : [{ kind: 'scalar', tag, value }],
      );
      if (points.length > 0) append(step, { kind: 'summary', values: points });
    },
    text(step, tag, markdown) {
      append(step, { kind: 'summary', values: [{ kind: 'text', tag, markdown }] });
    },
    histogram(step, tag, values) {
      append(step, { kind: 'summary', values: [{ kind: 'histogram', tag, values }] });
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      closeSync(descriptor);
    },
  };
}

/** The points of an epoch, at the step `epoch.steps`. */
export function epochScalars(epoch: TrainEpoch): Readonly<Record<string, number | null>> {
  return {
    'loss/train': epoch.loss,
    'loss/val': epoch.valLoss,
    'top1/train': epoch.top1,
    'top1/val': epoch.valTop1,
    'top5/val': epoch.valTop5,
    lr: epoch.lr,
    gradient_norm: epoch.gradientNorm,
    ...(epoch.lossScale === undefined ? {} : { loss_scale: epoch.lossScale }),
    ...(epoch.skippedUpdates === undefined ? {} : { skipped_updates: epoch.skippedUpdates }),
    'speed/images_per_second': epoch.imagesPerSecond,
    'speed/data_wait_share': epoch.dataWaitShare,
    'speed/peak_memory_bytes': epoch.peakMemory,
    epoch: epoch.epoch,
    ...(epoch.adaptation === undefined ? {} : rankScalars(epoch.adaptation)),
  };
}

function rankScalars({ ranks, paramsShare, macsShare, seconds }: EpochRanks): Readonly<Record<string, number>> {
  return {
    'size/parameters_share': paramsShare,
    'size/macs_share': macsShare,
    'speed/linear_algebra_seconds': seconds,
    ...Object.fromEntries(ranks.map((rank, at) => [`rank/${String(at + 1).padStart(3, '0')}`, rank])),
  };
}

/** The points of epoch 0, at the step 0. */
export function startScalars({ valLoss, valTop1, valTop5 }: TrainStart): Readonly<Record<string, number | null>> {
  return { 'loss/val': valLoss, 'top1/val': valTop1, 'top5/val': valTop5, epoch: 0 };
}

/** The settings as a Markdown table, for `text(0, 'settings', …)`. */
export function settingsMarkdown(settings: TrainReport['settings']): string {
  const cell = (text: string): string => text.replaceAll(/[\\`|<>]/g, String.raw`\$&`).replaceAll(/\s+/g, ' ');
  const rows = Object.entries(settings).map(([name, value]) => {
    const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
    return `| ${cell(name)} | ${cell(text)} |`;
  });
  return ['| setting | value |', '| --- | --- |', ...rows].join('\n');
}
