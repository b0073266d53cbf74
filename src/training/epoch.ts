import type { TrainEpoch } from '../contracts/train.js';
import type { Batch } from '../data/batch.js';
import { LowrankError } from '../errors.js';
import { drawMasks } from '../step/masks.js';
import type { Bookkeeping } from './bookkeeping.js';
import { ranksOf } from './found-ranks.js';
import { type Journal, rateOf, scalingOf, secondsSince, triedUpdates } from './journal.js';
import type { Measured } from './trainer.js';
import { untilAborted } from './until-aborted.js';

/** Sums over the part of an epoch that is done. */
export interface Running {
  images: number;
  loss: number;
  correct: number;
  gradientNorm: number;
  steps: number;
  seconds: number;
  waitSeconds: number;
}

export function nothing(): Running {
  return { images: 0, loss: 0, correct: 0, gradientNorm: 0, steps: 0, seconds: 0, waitSeconds: 0 };
}

/** The updates of an epoch, from 0. */
export class EpochSteps {
  readonly #journal: Journal;
  readonly #bookkeeping: Bookkeeping;
  readonly #epoch: number;
  readonly #running: Running;
  /** Batches that are done, and those behind the last update. */
  #batch: number;
  #settled: number;
  /** Of the update that goes on. */
  #micro = 0;
  #clock = 0;
  #waited = 0;

  constructor(journal: Journal, bookkeeping: Bookkeeping, epoch: number, start: number, running: Running) {
    this.#journal = journal;
    this.#bookkeeping = bookkeeping;
    this.#epoch = epoch;
    this.#running = running;
    this.#batch = start;
    this.#settled = start;
  }

  /** From the batch on that it starts at; false where it was interrupted, with a checkpoint written. */
  async run(): Promise<boolean> {
    const { loader, readEvery, trainer } = this.#journal.session;
    const { signal } = this.#journal.call;
    if (this.#batch >= this.#batches) return true;
    this.#clock = performance.now();
    this.#waited = loader.waitSeconds;
    const batches = loader.batches(this.#epoch, this.#batch);
    try {
      // Where the device works ahead, updates that were begun are waited for.
      for await (const each of readEvery > 1 ? batches : untilAborted(batches, signal)) {
        const outcome = await this.#step(each);
        if (outcome === 'last') return true;
        if (outcome === 'stop') break;
      }
    } catch (error) {
      if (!(error instanceof LowrankError) || error.code !== 'ABORTED' || signal?.aborted !== true) throw error;
      trainer.abandon();
    }
    if (signal?.aborted !== true) return true;
    await this.#save(this.#settled);
    return false;
  }

  /** Of a whole epoch. */
  get #batches(): number {
    return this.#journal.session.stepsPerEpoch * this.#journal.settings.accumulate;
  }

  async #step({ images, labels, targets, flips }: Batch): Promise<'next' | 'last' | 'stop'> {
    const { trainer, masks } = this.#journal.session;
    const { accumulate, batchSize, seed, checkpointEvery } = this.#journal.settings;
    const drawn = drawMasks(masks, batchSize, seed, trainer.step, this.#micro);
    await trainer.accumulate({ images, labels: targets ?? labels, flips, masks: drawn });
    this.#micro++;
    this.#batch++;
    if (this.#micro < accumulate) return 'next';
    this.#micro = 0;
    const isLast = this.#batch >= this.#batches;
    const before = trainer.step;
    this.#add(await trainer.update(rateOf(this.#journal, triedUpdates(trainer))));
    this.#settled = this.#batch;
    const isStopped = this.#journal.call.signal?.aborted === true && !isLast;
    const isMoved = trainer.step > before;
    const isDue = !isLast && isMoved && checkpointEvery !== null && trainer.step % checkpointEvery === 0;
    // Nothing is saved, and no epoch ends, before the losses of all its updates were looked at.
    if (isLast || isStopped || isDue) this.#add(await trainer.collect());
    if (isLast) return 'last';
    if (isDue && !isStopped) {
      await this.#save(this.#batch);
      this.#clock = performance.now();
    }
    return isStopped ? 'stop' : 'next';
  }

  #save(batch: number): Promise<void> {
    return this.#bookkeeping.save({ epoch: this.#epoch, batch, running: { ...this.#running } });
  }

  #add(measured: Measured | undefined): void {
    if (measured === undefined) return;
    const { session, settings, call } = this.#journal;
    const { batchSize, accumulate, epochs } = settings;
    const running = this.#running;
    running.images += measured.microBatches * batchSize;
    running.loss += measured.loss * batchSize;
    running.correct += measured.correct;
    running.gradientNorm += measured.gradientNorm;
    running.steps += measured.updates;
    this.#tick();
    call.progress?.step({
      epoch: this.#epoch + 1,
      epochs,
      step: this.#batch / accumulate,
      steps: session.stepsPerEpoch,
      loss: running.loss / running.images,
      top1: running.correct / running.images,
      imagesPerSecond: running.images / running.seconds,
      dataWaitShare: running.waitSeconds / running.seconds,
      ...scalingOf(session.trainer),
    });
  }

  #tick(): void {
    const { loader } = this.#journal.session;
    this.#running.seconds += secondsSince(this.#clock);
    this.#running.waitSeconds += loader.waitSeconds - this.#waited;
    this.#clock = performance.now();
    this.#waited = loader.waitSeconds;
  }
}

/** Validates behind the updates of an epoch, from 0, and puts it into the journal. Throws NUMERIC, ABORTED. */
export async function finishEpoch(journal: Journal, epoch: number, running: Running): Promise<TrainEpoch> {
  const { session, call, seconds } = journal;
  const { epochs } = journal.settings;
  const started = performance.now();
  const val = await session.validate(
    (done, total) => call.progress?.validating(epoch + 1, epochs, done, total),
    call.signal,
  );
  if (val !== undefined && !Number.isFinite(val.loss)) {
    throw new LowrankError('NUMERIC', `the validation loss is ${val.loss}`, { place: `epoch ${epoch + 1}` });
  }
  const validation = secondsSince(started);
  seconds.train += running.seconds;
  seconds.validate += validation;
  const { trainer } = session;
  const finished: TrainEpoch = {
    epoch: epoch + 1,
    steps: trainer.step,
    loss: running.loss / running.images,
    top1: running.correct / running.images,
    valLoss: val?.loss ?? null,
    valTop1: val?.top1 ?? null,
    valTop5: val?.top5 ?? null,
    lr: rateOf(journal, triedUpdates(trainer) - 1),
    imagesPerSecond: running.images / running.seconds,
    dataWaitShare: running.waitSeconds / running.seconds,
    gradientNorm: running.steps === 0 ? null : running.gradientNorm / running.steps,
    seconds: running.seconds + validation,
    peakMemory: process.resourceUsage().maxRSS * 1024,
    ...scalingOf(trainer),
    ...(await ranksOf(session.adaptation, trainer)),
  };
  journal.epochs.push(finished);
  call.progress?.epoch(finished, epochs);
  call.onEpoch?.(finished);
  return finished;
}
