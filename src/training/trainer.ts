import { LowrankError } from '../errors.js';
import { FLOAT } from '../onnx/data-type.js';
import { identityModel } from '../runtime/tiny-model.js';
import type { Binding, BoundTensor, Driver, Session, SessionOptions } from '../runtime/types.js';
import { arrayFeed, type BatchInput, deviceFeed } from './batch-feed.js';
import { combiner } from './combine.js';
import type { GradientGraph } from '../step/gradient-graph.js';
import { losses } from '../step/losses/index.js';
import { initialLossScale, type LossScale, nextLossScale } from '../step/loss-scale.js';
import { orOutOfMemory } from './out-of-memory.js';
import { requirePlacement } from './placement.js';
import { stepScalars } from './step-scalars.js';
import { arrayMemory, deviceMemory, moving, turning, turningVector, type Vector } from './training-memory.js';
import type { UpdateGraph } from '../step/update-graph.js';
import type { TrainingState } from '../step/vectors.js';

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
  /** The class of each image; with binary cross-entropy 0 or 1 for every class, [batch, classes]. */
  readonly labels: BigInt64Array | Float32Array;
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
  const sessions: Session[] = [];
  try {
    return await start(options, sessions);
  } catch (error) {
    for (const session of sessions) await session.close();
    throw error;
  }
}

async function start(options: TrainerOptions, sessions: Session[]): Promise<Trainer> {
  const { driver, gradient, update, batch, averageDecay, session: sessionOptions = {} } = options;
  const { graphOptimization = 'all', readEvery = 1, capture = false, note = () => undefined } = options;
  const isResident = options.isResident ?? (sessionOptions.device ?? 'cpu') !== 'cpu';
  const bindings = new Map<string, Binding>();
  const open = async (graph: string, bytes: Uint8Array, others: SessionOptions = {}): Promise<Session> => {
    const all = { ...sessionOptions, ...others, sharedArena: true };
    const session = await orOutOfMemory(driver.createSession(bytes, all));
    sessions.push(session);
    const { device = 'cpu' } = sessionOptions;
    requirePlacement(session, device, `the ${graph} graph`, options.allowCpuNodes === true, note);
    return session;
  };
  /** Whether the next run is recorded: nothing else may use the device then. */
  let isRecording = false;
  const bound = (key: string, session: Session, bind: (binding: Binding) => void): Binding => {
    let binding = bindings.get(key);
    if (binding !== undefined) return binding;
    binding = session.bind();
    bindings.set(key, binding);
    bind(binding);
    isRecording = capture;
    return binding;
  };

  if (capture && !isResident) throw new LowrankError('INTERNAL', 'runs are recorded only where the state is resident');
  const recorded: SessionOptions = capture ? { capture } : {};
  const gradientSession = await open('gradient', gradient.bytes(), { graphOptimization, ...recorded });
  const updateSession = await open('update', update.bytes(), recorded);
  // What a recorded run uses between its nodes is not held for it: no other tensor may come from the memory of its session.
  const owner = capture ? await open('memory', identityModel(FLOAT)) : gradientSession;
  const memory = isResident ? deviceMemory(owner) : arrayMemory;
  const { state: initial } = options;
  const count = initial.parameters.length;
  const hold = async () => ({
    parameters: await turningVector(memory, initial.parameters),
    statistics: await moving(memory, initial.statistics),
    optimizer: await turningVector(memory, initial.state),
    firstGradient: memory.blank(count),
    averages:
      averageDecay === undefined
        ? undefined
        : turning(await memory.parted(averaged, initial.ema), await memory.parted(averaged)),
  });
  const averaged = [count, initial.statistics.length];
  const { parameters, statistics, optimizer, firstGradient, averages } = await orOutOfMemory(hold());
  let nextGradient: Vector | undefined;
  const { images, labels, flips, masks } = gradient.interface.inputs;
  const batchInputs: BatchInput[] = [
    { name: images, type: gradient.images.type, dims: [batch, ...gradient.images.dims] },
    ...(flips === undefined ? [] : [{ name: flips, type: 'bool' as const, dims: [batch] }]),
    ...losses[gradient.loss]
      .targets(gradient.classes)
      .map(({ name, type, dims }) => ({ name, type, dims: [batch, ...dims] })),
    ...masks.map(({ name, shape }) => ({ name, type: 'float32' as const, dims: [batch, ...shape] })),
  ];
  const feed = isResident ? deviceFeed(batchInputs, owner, note) : arrayFeed(batchInputs);
  const scaleInput = gradient.interface.inputs.scale;
  let lossScale = scaleInput === undefined ? undefined : (options.lossScale ?? initialLossScale);
  const isLate = readEvery > 1 && lossScale === undefined;
  const { rate, counter, scale, loss, correct, norm } = stepScalars({ driver, sessionOptions, owner, capture, isLate });
  const endable = isLate ? {} : { signal: options.signal };
  /** For each loss in the log, the update that it belongs to, from 0. */
  const lossSteps: number[] = [];
  let done = options.step ?? 0;
  /** Updates that were read. */
  let read = done;
  /** Micro-batches since the last update. */
  let pending = 0;
  /** What the device still does; rejected for good where that failed. */
  let running = Promise.resolve();
  const then = (task: () => Promise<void>): void => {
    running = running.then(task);
    running.catch(() => undefined); // whoever waits for it hears of it
  };

  /** Waits where what was begun may be recorded. */
  const recordings = async (): Promise<void> => {
    if (isRecording) await running;
    isRecording = false;
  };

  const combine = combiner((bytes) => open('combine', bytes));
  /** Forgets the micro-batches since the last update. */
  const undo = (): void => {
    statistics.undo();
    pending = 0;
  };
  const numeric = (fact: string, remedy?: string): LowrankError => {
    undo();
    const place = `step ${done + 1}`;
    return new LowrankError('NUMERIC', fact, { place, ...(remedy === undefined ? {} : { remedy }) });
  };
  /** The scale behind an update. Throws NUMERIC where there is none left. */
  const scaleBehind = (before: LossScale, isFinite: boolean): LossScale => {
    try {
      return nextLossScale(before, isFinite);
    } catch (error) {
      throw error instanceof LowrankError ? numeric(error.fact, error.remedy) : error;
    }
  };

  const gradientBinding = (target: Vector, isFirst: boolean): Binding =>
    bound(`gradient ${parameters.index} ${statistics.key} ${feed.index} ${isFirst}`, gradientSession, (made) => {
      const { inputs, outputs } = gradient.interface;
      made.bindInput(inputs.parameters, parameters.current.tensor);
      made.bindInput(inputs.statistics, statistics.current.tensor);
      for (const [name, tensor] of feed.tensors) made.bindInput(name, tensor);
      if (scaleInput !== undefined) made.bindInput(scaleInput, scale.tensor);
      loss.bind(made, outputs.loss);
      correct.bind(made, outputs.correct);
      made.bindOutput(outputs.gradient, target.tensor);
      made.bindOutput(outputs.statistics, statistics.next.tensor);
    });
  const updateBinding = (): Binding =>
    bound(`update ${parameters.index} ${optimizer.index}`, updateSession, (made) => {
      const { inputs, outputs } = update.interface;
      made.bindInput(inputs.parameters, parameters.current.tensor);
      made.bindInput(inputs.gradient, firstGradient.tensor);
      made.bindInput(inputs.state, optimizer.current.tensor);
      made.bindInput(inputs.learningRate, rate.tensor);
      made.bindInput(inputs.step, counter.tensor);
      made.bindOutput(outputs.parameters, parameters.other.tensor);
      made.bindOutput(outputs.state, optimizer.other.tensor);
      norm.bind(made, outputs.gradientNorm);
    });

  /** The run of the update graph and what comes behind it; false where it was skipped. Updates count from 1. */
  const move = async (learningRate: number, number: number, microBatches: number): Promise<boolean> => {
    if (microBatches > 1) await combine(firstGradient, firstGradient, 1 / microBatches, 0, firstGradient);
    await rate.set(learningRate);
    await counter.set(number);
    const binding = updateBinding();
    norm.begin(binding, update.interface.outputs.gradientNorm);
    await orOutOfMemory(binding.run(endable));
    await norm.end();
    const isFinite = isLate || Number.isFinite(norm.value);
    if (lossScale !== undefined) lossScale = scaleBehind(lossScale, isFinite);
    else if (!isFinite) throw numeric(`the norm of the gradient is ${norm.value}`);
    if (!isFinite) {
      undo();
      return false;
    }
    parameters.turn();
    optimizer.turn();
    statistics.keep();
    if (averages === undefined) return true;
    for (const [i, now] of [parameters.current, statistics.current].entries()) {
      if (now.length === 0) continue;
      await combine(averages.current.parts[i]!, now, averageDecay!, 1 - averageDecay!, averages.other.parts[i]!);
    }
    averages.turn();
    return true;
  };

  /** Sums of one update that was waited for. */
  let sums = { microBatches: 0, loss: 0, correct: 0 };
  const collectLate = async (): Promise<Measured | undefined> => {
    if (pending > 0) throw new LowrankError('INTERNAL', 'losses are read between two updates only');
    await running;
    const [first, last] = [read + 1, done];
    if (first > last) return undefined;
    const losses = await loss.take();
    const counts = await correct.take();
    const norms = await norm.take();
    const steps = lossSteps.splice(0);
    const failed = losses.findIndex((value) => !Number.isFinite(value));
    const unnormed = norms.findIndex((value) => !Number.isFinite(value));
    const step = Math.min(failed < 0 ? Infinity : steps[failed]!, unnormed < 0 ? Infinity : read + unnormed);
    if (step !== Infinity) {
      const fact =
        failed >= 0 && steps[failed] === step
          ? `the loss is ${losses[failed]!}`
          : `the norm of the gradient is ${norms[unnormed]!}`;
      done = step;
      const error = new LowrankError('NUMERIC', fact, {
        place: `step ${step + 1} (steps ${first} to ${last} were read together)`,
      });
      then(() => Promise.reject(error));
      throw error;
    }
    read = done;
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
    return {
      updates: norms.length,
      microBatches: losses.length,
      loss: sum(losses),
      correct: sum(counts),
      gradientNorm: sum(norms),
    };
  };

  return {
    get step() {
      return done;
    },
    get lossScale() {
      return lossScale;
    },
    async read() {
      await running;
      return {
        parameters: await parameters.current.read(),
        statistics: await statistics.current.read(),
        state: await optimizer.current.read(),
        ema: averages === undefined ? new Float32Array(0) : await averages.current.read(),
      };
    },
    async weights() {
      await running;
      const [one, two] = averages?.current.parts ?? [parameters.current, statistics.current];
      return { parameters: one!.tensor, statistics: two!.tensor };
    },
    async accumulate(micro) {
      await feed.put({
        ...micro.masks,
        ...(flips === undefined ? {} : { [flips]: micro.flips! }),
        [images]: micro.images,
        [labels]: micro.labels,
      });
      await running;
      // The first gradient goes where the update reads it; further ones beside it, to be added.
      await scale.set(lossScale?.scale ?? 1);
      const isFirst = pending === 0;
      const target = isFirst ? firstGradient : (nextGradient ??= memory.blank(count));
      const binding = gradientBinding(target, isFirst);
      const { outputs } = gradient.interface;
      loss.begin(binding, outputs.loss);
      correct.begin(binding, outputs.correct);
      const add = async (): Promise<void> => {
        if (!isFirst) await combine(firstGradient, target, 1, 1, firstGradient);
      };
      const run = orOutOfMemory(binding.run(endable));
      const ended = async (): Promise<void> => {
        await run;
        await loss.end();
        await correct.end();
      };
      if (isLate) {
        lossSteps.push(done);
        then(ended);
        statistics.move();
        pending++;
        then(add);
        await recordings();
        return undefined;
      }
      await ended();
      if (!Number.isFinite(loss.value)) throw numeric(`the loss is ${loss.value}`);
      statistics.move();
      pending++;
      await add();
      const seen = { loss: loss.value, correct: correct.value };
      if (isFirst) sums = { microBatches: 0, loss: 0, correct: 0 };
      sums.microBatches++;
      sums.loss += seen.loss;
      sums.correct += seen.correct;
      return seen;
    },
    async update(learningRate) {
      if (pending === 0) throw new LowrankError('INTERNAL', 'an update without a gradient');
      const microBatches = pending;
      if (!isLate) {
        const isMoved = await move(learningRate, done + 1, microBatches);
        pending = 0;
        if (!isMoved) return { updates: 0, ...sums, gradientNorm: 0 };
        done++;
        return { updates: 1, ...sums, gradientNorm: norm.value };
      }
      pending = 0;
      const number = ++done;
      if (capture) updateBinding(); // what is made here is what is waited for below
      then(async () => void (await move(learningRate, number, microBatches)));
      await recordings();
      return done - read >= readEvery ? collectLate() : undefined;
    },
    abandon: undo,
    collect: async () => (isLate ? collectLate() : undefined),
    async close() {
      await running.catch(() => undefined);
      for (const binding of bindings.values()) binding.close();
      for (const each of [loss, correct, norm]) await each.close();
      for (const session of sessions) await session.close();
    },
  };
}
