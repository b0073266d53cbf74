import type { Batch } from '../data/batch.js';
import type { Loader } from '../data/loader.js';
import { drawMasks } from '../step/masks.js';
import type { Driver, SessionOptions } from '../runtime/types.js';
import type { GradientGraph } from '../step/gradient-graph.js';
import type { UpdateGraph } from '../step/update-graph.js';
import { copyState, type TrainingState } from '../step/vectors.js';
import { createTrainer, type Measured, type Trainer } from '../training/trainer.js';
import type { RecoverSettings } from './settings.js';

/** What a training from any state needs. */
export interface Learning {
  readonly driver: Driver;
  readonly session: SessionOptions;
  readonly graphOptimization: SessionOptions['graphOptimization'];
  readonly gradient: GradientGraph;
  readonly update: UpdateGraph;
  readonly settings: RecoverSettings;
  readonly signal: AbortSignal | undefined;
  readonly note: (line: string) => void;
}

/** Weights on their way: the state is the learner's own from here on. */
export class Learner {
  readonly #learning: Learning;
  readonly #trainer: Trainer;
  readonly #batches: AsyncGenerator<Batch, never, undefined>;

  static async start(learning: Learning, loader: Loader, state: TrainingState, firstBatch = 0): Promise<Learner> {
    const { driver, session, graphOptimization, gradient, update, settings, signal, note } = learning;
    const trainer = await createTrainer({
      ...{ driver, gradient, update, session, graphOptimization, signal, note, state: copyState(state) },
      batch: settings.batchSize,
      allowCpuNodes: settings.allowCpuNodes,
      readEvery: 1,
      capture: settings.cudaGraphs,
    });
    return new Learner(learning, trainer, endless(loader, firstBatch));
  }

  private constructor(learning: Learning, trainer: Trainer, batches: AsyncGenerator<Batch, never, undefined>) {
    this.#learning = learning;
    this.#trainer = trainer;
    this.#batches = batches;
  }

  /** One update. Throws NUMERIC where the loss or the gradient is not finite. */
  async step(lr: number): Promise<Measured> {
    const { gradient, settings } = this.#learning;
    const { value } = await this.#batches.next();
    const { images, labels, targets } = value;
    const masks = drawMasks(gradient.interface.inputs.masks, settings.batchSize, settings.seed, this.#trainer.step, 0);
    await this.#trainer.accumulate({ images, labels: targets ?? labels, masks });
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

/** Batches without end, epoch after epoch, from the n-th on. */
async function* endless(loader: Loader, first: number): AsyncGenerator<Batch, never, undefined> {
  const { batchesPerEpoch } = loader;
  let start = first % batchesPerEpoch;
  for (let epoch = Math.floor(first / batchesPerEpoch); ; epoch++) {
    yield* loader.batches(epoch, start);
    start = 0;
  }
}
