import { bestEpoch, type WrittenEpoch } from '../contracts/train.js';
import type { DataStamp } from '../data/stamp.js';
import { LowrankError, messageOf } from '../errors.js';
import { fileSha256 } from '../files/hash.js';
import { drain } from '../files/pieces.js';
import type { TrainingState } from '../step/vectors.js';
import { type CheckpointFolder, checkpointsOf, listCheckpoints } from './checkpoint.js';
import type { CheckpointIdentity, CheckpointPosition } from '../contracts/checkpoint.js';
import { type Checkpoint, readNewest } from './newest-checkpoint.js';
import { changeNotes, requireRoom } from './go-on.js';
import {
  bestOrStart,
  contestants,
  type Journal,
  ownEpochs,
  secondsSince,
  type SegmentPlace,
  warn,
  type Weights,
} from './journal.js';
import type { TrainCall, TrainSettings } from './options.js';
import { resumable } from './resume.js';
import { type SavedCall, savedCallOf } from './saved-call.js';

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
  'lrTrials',
  'cache',
]);

/** Where a training is within an epoch. */
export type Place = Pick<CheckpointPosition, 'epoch' | 'batch' | 'running'>;

/** The checkpoints of a training, and the epoch of which it writes the weights. */
export class Bookkeeping {
  readonly #journal: Journal;
  readonly #folder: CheckpointFolder;
  readonly #identity: CheckpointIdentity;
  readonly #saved: SavedCall;

  constructor(journal: Journal, folder: CheckpointFolder, images: DataStamp) {
    const { call, settings, session } = journal;
    this.#journal = journal;
    this.#folder = folder;
    this.#saved = savedCallOf(call, call.settings);
    const fixed = Object.entries({ ...settings, ...session.conditions, preset: call.preset ?? null }).filter(
      ([key]) => !free.has(key as keyof TrainSettings),
    );
    this.#keepForGood();
    this.#identity = { model: session.model.sha256, settings: Object.fromEntries(fixed), images };
  }

  /** The checkpoint to go on from; undefined for a new training. Throws OUTPUT, and what `readNewest` throws. */
  resume(): Checkpoint | undefined {
    const { call, settings, session, segment } = this.#journal;
    const found = this.#folder.list();
    if (call.resume !== true) {
      requireFresh(call, found);
      this.#folder.supersede();
      return undefined;
    }
    const comparison = { isStrict: call.strict, mayDiffer: (key: string) => call.mayDiffer(key) };
    const say = (line: string): void => warn(this.#journal, line);
    const checkpoint = readNewest(found, this.#identity, comparison, session.lengths, say);
    const { position, differences } = checkpoint;
    requireSegment(position, segment, checkpoint.path);
    requireRoom(position, settings.epochs, checkpoint.path);
    for (const line of changeNotes(position, differences, settings)) say(line);
    this.#goOn(checkpoint);
    // Damaged ones that are newer count among the last: what is gone on from must not go for them.
    if (checkpoint.path === found[0]) this.#folder.tidy();
    return checkpoint;
  }

  #goOn({ path, position }: Checkpoint): void {
    const journal = this.#journal;
    const { step, epoch, epochs, start, retreats = [] } = position;
    journal.epochs.push(...epochs);
    journal.retreats.push(...retreats);
    journal.start = start ?? null;
    journal.stableRanks = position.stableRanks;
    journal.conversion = position.conversion;
    this.#placeSegment(position);
    this.#keepForGood();
    this.#keepBest();
    journal.resumedFrom = { path, epoch, steps: step };
    journal.checkpoint = journal.resumedFrom;
  }

  #placeSegment({ segment: at }: CheckpointPosition): void {
    const { segment } = this.#journal;
    segment.tried = at?.tried ?? 0;
    segment.from = at?.from ?? segment.from;
    if (at?.until === undefined) return;
    segment.until = at.until;
    segment.isShort = true;
  }

  async save(at: Place): Promise<void> {
    const journal = this.#journal;
    const { session, epochs } = journal;
    const started = performance.now();
    const position = this.#position(at);
    const state = await this.#state();
    if (position.batch === 0 && this.#isForGood(position.epoch)) this.#folder.keep(position.step);
    this.#keepBest();
    const write = await session.modelOf(state);
    const path = this.#folder.write(state, position, this.#identity, write, this.#saved);
    journal.checkpoint = { path, epoch: epochs.length, steps: position.step };
    journal.seconds.write += secondsSince(started);
  }

  /** The best weights so far, or the start's, to go back to. */
  async best(): Promise<{ readonly epoch: number; readonly state: TrainingState }> {
    const { session } = this.#journal;
    const best = bestOrStart(this.#journal);
    if (best === null || best.epoch === 0) return { epoch: 0, state: await session.initial() };
    try {
      return { epoch: best.epoch, state: this.#folder.read(best.steps) };
    } catch (error) {
      warn(this.#journal, `the checkpoint of the best epoch, ${best.epoch}, is damaged (${factOf(error)})`);
      return { epoch: 0, state: await session.initial() };
    }
  }

  /** Removes the checkpoints of updates that are done again. */
  dropBehind(step: number): void {
    this.#folder.dropBehind(step);
  }

  /** Writes the epoch that was chosen, and says which. */
  async write(): Promise<void> {
    const journal = this.#journal;
    const started = performance.now();
    const { output } = journal.call;
    const { written, state } = await this.#chosen();
    // Whatever was there may go: `checkWritable` has asked.
    const write = await journal.session.modelOf(state);
    const { bytes } = write(output, true);
    journal.output = { path: output, bytes, sha256: drain(fileSha256(output)) };
    journal.written = written;
    journal.seconds.write += secondsSince(started);
  }

  /** Without a checkpoint of its own a training leaves those that were there before. */
  reinstate(): void {
    this.#folder.reinstate();
  }

  /**
   * What to do where a loss, a gradient or a weight is not finite, or a run failed: the device was lost, or its memory given
   * out. Weights that gave no loss are no checkpoint.
   */
  withAdvice(error: LowrankError): LowrankError {
    if (error.code === 'RUNTIME' || error.code === 'DEVICE') return resumable(error, this.#folder.list()[0]);
    if (error.code !== 'NUMERIC') return error;
    this.#folder.drop(this.#journal.session.trainer.step);
    const [last] = this.#folder.list();
    const from = last === undefined ? '' : `, from the model or from the last good checkpoint ${last}/model.onnx`;
    return new LowrankError('NUMERIC', error.fact, {
      ...(error.place === undefined ? {} : { place: error.place }),
      remedy: `${error.remedy ?? 'train with a lower --lr, with --clip 1 or a longer --warmup'}${from}`,
      cause: error,
    });
  }

  #isForGood(epoch: number): boolean {
    const { saveEvery } = this.#journal.settings;
    return saveEvery !== null && epoch % saveEvery === 0;
  }

  #keepForGood(): void {
    for (const { epoch, steps } of this.#journal.epochs) if (this.#isForGood(epoch)) this.#folder.keep(steps);
  }

  #keepBest(): void {
    const epochs = contestants(this.#journal);
    const best = bestEpoch(epochs);
    const { steps } = epochs.find(({ epoch }) => epoch === best?.epoch) ?? {};
    if (steps !== undefined) this.#folder.keepBest(steps);
  }

  #position(at: Place): CheckpointPosition {
    const { session, segment, epochs, start: before, retreats, foundRate, stableRanks, conversion } = this.#journal;
    const { step, lossScale, rankRoom } = session.trainer;
    const start = before === null ? {} : { start: before };
    const { index, name, isAlone, tried, from, until, isShort } = segment;
    return {
      step,
      ...at,
      epochs,
      ...start,
      ...(foundRate === undefined ? {} : { foundRate }),
      ...(retreats.length === 0 ? {} : { retreats }),
      ...(lossScale === undefined ? {} : { lossScale }),
      ...(rankRoom === undefined ? {} : { rankRoom }),
      ...(isAlone ? {} : { segment: { index, name, tried, from, ...(isShort ? { until } : {}) } }),
      ...(stableRanks === undefined ? {} : { stableRanks }),
      ...(conversion === undefined ? {} : { conversion }),
    };
  }

  /** What there is to save. Throws NUMERIC where a weight is not finite. */
  async #state(): Promise<TrainingState> {
    const { trainer } = this.#journal.session;
    const state = await trainer.read();
    for (const name of ['parameters', 'statistics', 'state', 'ema'] as const) {
      if (isFinite(state[name])) continue;
      throw new LowrankError('NUMERIC', `there are ${name} that are not finite`, { place: `step ${trainer.step}` });
    }
    return state;
  }

  /** What to write: the best epoch where one was validated, or the start where none is better, with its weights. */
  async #chosen(): Promise<{ readonly written: WrittenEpoch; readonly state: TrainingState }> {
    const { call, session } = this.#journal;
    const epochs = ownEpochs(this.#journal);
    const last = epochs.at(-1)!;
    const best = call.writes === 'last' ? null : bestOrStart(this.#journal);
    if (best === null) return { written: writtenOf(last, 'last'), state: await this.#state() };
    const start = async (weights: Weights): Promise<{ written: WrittenEpoch; state: TrainingState }> => ({
      written: writtenOf(weights, 'start'),
      state: await session.initial(),
    });
    if (best.epoch === 0) return start(best);
    if (best.epoch === last.epoch) return { written: writtenOf(last, 'best'), state: await this.#state() };
    try {
      return { written: writtenOf(best, 'best'), state: this.#folder.read(best.steps) };
    } catch (error) {
      const other = bestOrStart(this.#journal, [last])!;
      const which = other.epoch === 0 ? 'start' : 'last';
      warn(
        this.#journal,
        `the best epoch, ${best.epoch}, cannot be written, but the ${which}: its checkpoint is damaged (${factOf(error)})`,
      );
      return other.epoch === 0 ? start(other) : { written: writtenOf(last, 'last'), state: await this.#state() };
    }
  }
}

function writtenOf({ epoch, valTop1, valLoss }: Weights, chosen: WrittenEpoch['chosen']): WrittenEpoch {
  return { epoch, valTop1, valLoss, chosen };
}

function factOf(error: unknown): string {
  return error instanceof LowrankError ? error.fact : messageOf(error);
}

/** Throws OUTPUT where a new training would replace the checkpoints of an earlier one unasked. */
export function requireFresh(
  { resume, force, output }: TrainCall,
  found: readonly string[] = listCheckpoints(checkpointsOf(output)),
): void {
  if (resume === true || force === true || found.length === 0) return;
  throw new LowrankError('OUTPUT', 'there are checkpoints of an earlier training', {
    place: checkpointsOf(output),
    remedy: 'go on with --resume, or begin anew with --force',
  });
}

/** Throws USAGE where the checkpoint is of another segment: a training of others has written it. */
function requireSegment({ segment }: CheckpointPosition, { index, name, isAlone }: SegmentPlace, place: string): void {
  const isSame = isAlone ? segment === undefined : segment?.index === index && segment.name === name;
  if (isSame) return;
  throw new LowrankError('USAGE', 'the checkpoint is of a training of other segments', {
    place,
    remedy: 'begin anew from its model.onnx',
  });
}

/** Whether no element is NaN or infinite. */
function isFinite(vector: Float32Array): boolean {
  // NaN and infinities survive x − x as NaN, and sums: one addition an element.
  let sum = 0;
  for (const value of vector) sum += value - value;
  return sum === 0;
}
