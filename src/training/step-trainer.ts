import { LowrankError } from '../errors.js';
import type { BoundTensor } from '../runtime/types.js';
import { type LossScale, nextLossScale } from '../step/loss-scale.js';
import type { TrainingState } from '../step/vectors.js';
import { orOutOfMemory } from './out-of-memory.js';
import type { StepParts } from './step-parts.js';
import { evaluatedVectors, readVectors, turnVectors, writeVectors } from './step-vectors.js';
import type { Measured, MicroBatch, Seen, Trainer, TrainerOptions } from './trainer.js';

/** See `createTrainer`. */
export class StepTrainer implements Trainer {
  readonly #options: TrainerOptions;
  readonly #parts: StepParts;
  /** Of runs that may be ended. */
  readonly #endable: { readonly signal?: AbortSignal | undefined };
  #lossScale: LossScale | undefined;
  #done: number;
  /** Micro-batches since the last update. */
  #pending = 0;
  /** What the device still does; rejected for good where that failed. */
  #running = Promise.resolve();
  /** Sums of one update that was waited for. */
  #sums = { microBatches: 0, loss: 0, correct: 0 };

  constructor(options: TrainerOptions, parts: StepParts) {
    this.#options = options;
    this.#parts = parts;
    this.#endable = parts.late === undefined ? { signal: options.signal } : {};
    this.#lossScale = parts.lossScale;
    this.#done = options.step ?? 0;
  }

  get step(): number {
    return this.#done;
  }

  get lossScale(): LossScale | undefined {
    return this.#lossScale;
  }

  async read(): Promise<TrainingState> {
    await this.#running;
    return readVectors(this.#parts.vectors);
  }

  async write(state: TrainingState, step: number): Promise<void> {
    if (this.#pending > 0) throw new LowrankError('INTERNAL', 'a state is replaced between two updates only');
    await this.#running;
    await writeVectors(this.#parts.vectors, state);
    this.#done = step;
  }

  async weights(): Promise<{ readonly parameters: BoundTensor; readonly statistics: BoundTensor }> {
    await this.#running;
    return evaluatedVectors(this.#parts.vectors);
  }

  async accumulate(micro: MicroBatch): Promise<Seen | undefined> {
    const { vectors, scalars, bindings, combine, late } = this.#parts;
    await this.#feed(micro);
    await this.#running;
    await scalars.scale.set(this.#lossScale?.scale ?? 1);
    // The first gradient goes where the update reads it; further ones beside it, to be added.
    const isFirst = this.#pending === 0;
    const { firstGradient } = vectors;
    const target = isFirst ? firstGradient : vectors.nextGradient;
    const binding = bindings.gradient(target, isFirst);
    const { outputs } = this.#options.gradient.interface;
    scalars.loss.begin(binding, outputs.loss);
    scalars.correct.begin(binding, outputs.correct);
    const run = orOutOfMemory(binding.run(this.#endable));
    const ended = async (): Promise<void> => {
      await run;
      await scalars.loss.end();
      await scalars.correct.end();
    };
    const add = async (): Promise<void> => {
      if (!isFirst) await combine(firstGradient, target, 1, 1, firstGradient);
    };
    if (late === undefined) {
      await ended();
      const loss = scalars.loss.value;
      if (!Number.isFinite(loss)) throw this.#numeric(`the loss is ${loss}`);
      this.#moveStatistics();
      await add();
      return this.#sum({ loss, correct: scalars.correct.value }, isFirst);
    }
    late.begin(this.#done);
    this.#then(ended);
    this.#moveStatistics();
    this.#then(add);
    await this.#recorded();
    return undefined;
  }

  async update(learningRate: number): Promise<Measured | undefined> {
    if (this.#pending === 0) throw new LowrankError('INTERNAL', 'an update without a gradient');
    const { late, bindings, scalars } = this.#parts;
    const microBatches = this.#pending;
    if (late === undefined) {
      const isMoved = await this.#move(learningRate, this.#done + 1, microBatches);
      this.#pending = 0;
      if (!isMoved) return { updates: 0, ...this.#sums, gradientNorm: 0 };
      this.#done++;
      return { updates: 1, ...this.#sums, gradientNorm: scalars.norm.value };
    }
    this.#pending = 0;
    const number = ++this.#done;
    const { capture = false, readEvery = 1 } = this.#options;
    if (capture) bindings.update(); // what is made here is what is waited for below
    this.#then(async () => void (await this.#move(learningRate, number, microBatches)));
    await this.#recorded();
    return this.#done - late.read >= readEvery ? this.collect() : undefined;
  }

  abandon(): void {
    this.#parts.vectors.statistics.undo();
    this.#pending = 0;
  }

  async collect(): Promise<Measured | undefined> {
    const { late } = this.#parts;
    if (late === undefined) return undefined;
    if (this.#pending > 0) throw new LowrankError('INTERNAL', 'losses are read between two updates only');
    await this.#running;
    const result = await late.take(this.#done);
    if ('measured' in result) return result.measured;
    const { step, error } = result;
    this.#done = step;
    this.#then(() => Promise.reject(error));
    throw error;
  }

  async close(): Promise<void> {
    await this.#running.catch(() => undefined);
    const { bindings, sessions, scalars } = this.#parts;
    bindings.close();
    for (const each of [scalars.loss, scalars.correct, scalars.norm]) await each.close();
    await sessions.close();
  }

  #feed(micro: MicroBatch): Promise<void> {
    const { images, flips, labels } = this.#options.gradient.interface.inputs;
    return this.#parts.feed.put({
      ...micro.masks,
      ...micro.taught,
      ...(flips === undefined ? {} : { [flips]: micro.flips! }),
      [images]: micro.images,
      ...(labels === undefined ? {} : { [labels]: micro.labels! }),
    });
  }

  #moveStatistics(): void {
    this.#parts.vectors.statistics.move();
    this.#pending++;
  }

  #sum(seen: Seen, isFirst: boolean): Seen {
    if (isFirst) this.#sums = { microBatches: 0, loss: 0, correct: 0 };
    this.#sums.microBatches++;
    this.#sums.loss += seen.loss;
    this.#sums.correct += seen.correct;
    return seen;
  }

  /** The run of the update graph and what comes behind it; false where it was skipped. Updates count from 1. */
  async #move(learningRate: number, number: number, microBatches: number): Promise<boolean> {
    const { vectors, scalars, bindings, combine, late } = this.#parts;
    const { firstGradient } = vectors;
    const { norm } = scalars;
    if (microBatches > 1) await combine(firstGradient, firstGradient, 1 / microBatches, 0, firstGradient);
    await scalars.rate.set(learningRate);
    await scalars.counter.set(number);
    const binding = bindings.update();
    norm.begin(binding, this.#options.update.interface.outputs.gradientNorm);
    await orOutOfMemory(binding.run(this.#endable));
    await norm.end();
    const isFinite = late !== undefined || Number.isFinite(norm.value);
    if (this.#lossScale !== undefined) this.#lossScale = this.#scaleBehind(this.#lossScale, isFinite);
    else if (!isFinite) throw this.#numeric(`the norm of the gradient is ${norm.value}`);
    if (isFinite) await turnVectors(vectors, combine, this.#options.averageDecay);
    else this.abandon();
    return isFinite;
  }

  /** The scale behind an update. Throws NUMERIC where there is none left. */
  #scaleBehind(before: LossScale, isFinite: boolean): LossScale {
    try {
      return nextLossScale(before, isFinite);
    } catch (error) {
      throw error instanceof LowrankError ? this.#numeric(error.fact, error.remedy) : error;
    }
  }

  #numeric(fact: string, remedy?: string): LowrankError {
    this.abandon();
    const place = `step ${this.#done + 1}`;
    return new LowrankError('NUMERIC', fact, { place, ...(remedy === undefined ? {} : { remedy }) });
  }

  #then(task: () => Promise<void>): void {
    this.#running = this.#running.then(task);
    this.#running.catch(() => undefined); // whoever waits for it hears of it
  }

  /** Waits where what was begun may be recorded: nothing else may use the device then. */
  async #recorded(): Promise<void> {
    if (this.#parts.bindings.takeIsNew() && this.#options.capture === true) await this.#running;
  }
}
