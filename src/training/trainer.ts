import type { BoundTensor, Driver, SessionOptions } from '../runtime/types.js';
import type { EvalGraph } from '../step/eval-graph.js';
import type { GradientGraph } from '../step/gradient-graph.js';
import type { LossScale } from '../step/loss-scale.js';
import type { UpdateGraph } from '../step/update-graph.js';
import type { TrainingState } from '../step/vectors.js';
import type { FoundRanks } from './found-ranks.js';
import { openParts } from './step-parts.js';
import { stepSessions } from './step-sessions.js';
import { StepTrainer } from './step-trainer.js';

export interface TrainerOptions {
  readonly driver: Driver;
  readonly gradient: GradientGraph;
  readonly update: UpdateGraph;
  /** Taken over: the trainer writes into these vectors. */
  readonly state: TrainingState;
  /** Images of one run of the gradient graph. */
  readonly batch: number;
  /** Decay of the moving averages; undefined: none. */
  readonly averageDecay?: number | undefined;
  readonly session?: SessionOptions;
  /** Of the gradient graph; default `all`. */
  readonly graphOptimization?: SessionOptions['graphOptimization'];
  /** Steps that `state` has behind it. */
  readonly step?: number;
  /**
   * Keeps the state in the memory of the device, where it is read from only when it is asked for, and two sets of inputs,
   * one of which is filled while the device works on the other. Default: on every device but the CPU.
   */
  readonly isResident?: boolean | undefined;
  /**
   * Updates between two readings of losses, counts and norms; default 1. With more, `accumulate` and `update` do not wait
   * for the device, and a loss that is not finite is noticed late. In float16 it is 1: an update must be known to be finite
   * before the next one begins.
   */
  readonly readEvery?: number | undefined;
  /** Where the gradient graph takes a scale: the one to begin with. */
  readonly lossScale?: LossScale | undefined;
  /**
   * The runs of the graphs are recorded and replayed (CUDA graphs; `SessionOptions.capture`), which saves what it costs to
   * launch each node. Only where the state is resident. Default false.
   */
  readonly capture?: boolean | undefined;
  /** Whether nodes may run on the CPU where the device is another. Default: that is an error. */
  readonly allowCpuNodes?: boolean | undefined;
  /** Ends a run of the gradient or the update; with `readEvery` above 1 none. */
  readonly signal?: AbortSignal | undefined;
  /** Hears what is worth knowing: nodes on the CPU, slow memory. */
  readonly note?: ((line: string) => void) | undefined;
}

/** What the gradient graph is fed. */
export interface MicroBatch {
  /** batch × image, as the gradient graph takes them. */
  readonly images: Float32Array | Uint8Array;
  /** Where the graph mirrors images: 1 for those that are. */
  readonly flips?: Uint8Array | undefined;
  /** Where the loss reads labels: the class of each image; with binary cross-entropy 0 or 1 for every class, [batch, classes]. */
  readonly labels?: BigInt64Array | Float32Array | undefined;
  /** What another model makes of the images, where that is fed; by input name. */
  readonly taught?: Readonly<Record<string, Float32Array>>;
  /** By input name. */
  readonly masks?: Readonly<Record<string, Float32Array>>;
}

/** What a micro-batch gave. */
export interface Seen {
  readonly loss: number;
  readonly correct: number;
}

/** What updates gave, summed up. */
export interface Measured {
  /** Without those that were skipped. */
  readonly updates: number;
  readonly microBatches: number;
  /** Of the mean losses of the micro-batches. */
  readonly loss: number;
  readonly correct: number;
  /** Of the norms of the gradients of the loss, before clipping and decay. */
  readonly gradientNorm: number;
}

/** Runs training steps over flat vectors that stay where they are: bound once, written in turns. */
export interface Trainer {
  /** Updates done, or begun, since the start of the training; after a failure, those that were good. */
  readonly step: number;
  /** In float16; undefined otherwise. */
  readonly lossScale: LossScale | undefined;
  /** The state as it is now, valid until the next call: not copied where it lies in arrays, else read from the device. */
  read(): Promise<TrainingState>;
  /** What `weights` are evaluated by, where that changes; undefined: the graph of the whole training. */
  readonly evaluation?: EvalGraph;
  /** For how large a rank of each layer there is room in the graphs, where ranks are found. */
  readonly rankRoom?: readonly number[];
  /** What the layers have come to, where their ranks are found. */
  found?(): Promise<FoundRanks>;
  /** Puts a state in the place of its own, between two updates, with so many updates behind it. */
  write(state: TrainingState, step: number): Promise<void>;
  /**
   * What is evaluated, where it lies: the moving averages, else the parameters and statistics. Valid until the next call.
   */
  weights(): Promise<{ readonly parameters: BoundTensor; readonly statistics: BoundTensor }>;
  /**
   * The gradient of one micro-batch, added to those since the last update; moves the running statistics. With `readEvery`
   * above 1 its result is undefined.
   * Throws NUMERIC where the loss is not finite; the step is then undone. Throws RUNTIME.
   */
  accumulate(batch: MicroBatch): Promise<Seen | undefined>;
  /**
   * One update by the mean of the gradients since the last one. What it and all since the last reading gave; undefined
   * where that is not read yet. Throws NUMERIC where a norm or a loss is not finite: with `readEvery` 1 the step is
   * undone, else the trainer is of no more use and the place is the first step that failed. In float16 a step whose norm is
   * not finite is undone too, but skipped with a smaller scale: NUMERIC comes where that falls below 1.
   */
  update(learningRate: number): Promise<Measured | undefined>;
  /** Back to the state behind the last update; not with `readEvery` above 1. */
  abandon(): void;
  /** Waits for all that was begun, and reads what is not read yet. Throws as `update`. */
  collect(): Promise<Measured | undefined>;
  close(): Promise<void>;
}

/** Starts onnxruntime sessions of the graphs. Throws RUNTIME, DEVICE. */
export async function createTrainer(options: TrainerOptions): Promise<Trainer> {
  const sessions = stepSessions(options);
  try {
    return new StepTrainer(options, await openParts(options, sessions));
  } catch (error) {
    await sessions.close();
    throw error;
  }
}
