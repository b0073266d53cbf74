import { drawMasks } from '../step/masks.js';
import type { Driver, SessionOptions } from '../runtime/types.js';
import type { GradientGraph } from '../step/gradient-graph.js';
import type { UpdateGraph } from '../step/update-graph.js';
import { copyState, type TrainingState } from '../step/vectors.js';
import { createTrainer, type Measured, type Trainer } from '../training/trainer.js';
import type { Fed, LearningFeed } from './feed.js';
import type { SettledRecover } from './settings.js';

/** What a training from any state needs. */
export interface Learning {
  readonly driver: Driver;
  readonly session: SessionOptions;
  readonly graphOptimization: SessionOptions['graphOptimization'];
  readonly gradient: GradientGraph;
  readonly update: UpdateGraph;
  readonly settings: SettledRecover;
  readonly signal: AbortSignal | undefined;
  readonly note: (line: string) => void;
}

/** Weights on their way: the state is the learner's own from here on. */
export class Learner {
  readonly #learning: Learning;
  readonly #trainer: Trainer;
  readonly #batches: AsyncGenerator<Fed, never, undefined>;

  static async start(learning: Learning, feed: LearningFeed, state: TrainingState, firstBatch = 0): Promise<Learner> {
    const { driver, session, graphOptimization, gradient, update, settings, signal, note } = learning;
    const trainer = await createTrainer({
      ...{ driver, gradient, update, session, graphOptimization, signal, note, state: copyState(state) },
      batch: settings.batchSize,
      allowCpuNodes: settings.allowCpuNodes,
      readEvery: 1,
      capture: settings.cudaGraphs,
    });
    return new Learner(learning, trainer, feed.batches(firstBatch));
  }

  private constructor(learning: Learning, trainer: Trainer, batches: AsyncGenerator<Fed, never, undefined>) {
    this.#learning = learning;
    this.#trainer = trainer;
    this.#batches = batches;
  }

  /** One update. Throws NUMERIC where the loss or the gradient is not finite. */
  async step(lr: number): Promise<Measured> {
    const { gradient, settings } = this.#learning;
    const { value } = await this.#batches.next();
    const masks = drawMasks(gradient.interface.inputs.masks, settings.batchSize, settings.seed, this.#trainer.step, 0);
    await this.#trainer.accumulate({ ...value, masks });
    return (await this.#trainer.update(lr))!;
  }

  /** A copy of the weights as they are. */
  async weights(): Promise<TrainingState> {
    return copyState(await this.#trainer.read());
  }

  async close(): Promise<void> {
    await this.#batches.return(undefined as never);
    await this.#trainer.close();
  }
}
