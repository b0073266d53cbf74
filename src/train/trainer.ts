import { LowrankError, messageOf } from '../errors.js';
import { sizeOf } from '../ops/support/layout.js';
import type { Binding, Driver, RuntimeTensor, Session, SessionOptions } from '../runtime/types.js';
import { buildCombineGraph } from './combine-graph.js';
import type { GradientGraph } from './gradient-graph.js';
import type { UpdateGraph } from './update-graph.js';
import type { TrainingState } from './vectors.js';

export interface TrainerOptions {
  readonly driver: Driver;
  readonly gradient: GradientGraph;
  readonly update: UpdateGraph;
  /** Taken over: the trainer writes into these vectors. */
  readonly state: TrainingState;
  /** Images of one run of the gradient graph. */
  readonly batch: number;
  /** For one image, as the gradient graph takes it. */
  readonly imageDims: readonly number[];
  readonly classes: number;
  /** Decay of the moving averages; undefined: none. */
  readonly averageDecay?: number | undefined;
  readonly session?: SessionOptions;
  /** Of the gradient graph; default `all`. */
  readonly graphOptimization?: SessionOptions['graphOptimization'];
  /** Steps that `state` has behind it. */
  readonly step?: number;
}

/** What the gradient graph is fed. */
export interface MicroBatch {
  /** float32, batch × image. */
  readonly images: Float32Array;
  readonly labels: BigInt64Array;
  /** By input name. */
  readonly masks?: Readonly<Record<string, Float32Array>>;
}

/** Runs training steps over flat vectors that stay where they are: bound once, written in turns. */
export interface Trainer {
  /** Steps done since the start of the training. */
  readonly step: number;
  /** The state as it is now, not copied: valid until the next call. */
  readonly state: TrainingState;
  /**
   * The gradient of one micro-batch, added to those since the last update; moves the running statistics.
   * Throws NUMERIC where the loss is not finite; the step is then undone. Throws RUNTIME.
   */
  accumulate(batch: MicroBatch): Promise<{ readonly loss: number; readonly correct: number }>;
  /**
   * One update by the mean of the gradients since the last one. `gradientNorm` is that of the loss, before clipping and
   * decay. Throws NUMERIC where it is not finite; the step is then undone.
   */
  update(learningRate: number): Promise<{ readonly gradientNorm: number }>;
  close(): Promise<void>;
}

const tensor = (data: Float32Array, dims: readonly number[] = [data.length]): RuntimeTensor => ({
  type: 'float32',
  dims,
  data,
});

/** A vector that is read while its successor is written. */
interface Turning {
  /** Which of the two is current: 0 or 1. */
  index: 0 | 1;
  readonly vectors: readonly [Float32Array, Float32Array];
}

function turning(initial: Float32Array): Turning {
  return { index: 0, vectors: [initial, new Float32Array(initial.length)] };
}

const current = ({ vectors, index }: Turning): Float32Array => vectors[index];
const other = ({ vectors, index }: Turning): Float32Array => vectors[1 - index]!;
function turn(vector: Turning): void {
  vector.index = vector.index === 0 ? 1 : 0;
}

/** Starts onnxruntime sessions of the graphs. Throws RUNTIME, DEVICE. */
export async function createTrainer(options: TrainerOptions): Promise<Trainer> {
  const { driver, gradient, update, batch, averageDecay, session: sessionOptions = {} } = options;
  const sessions: Session[] = [];
  const bindings = new Map<string, Binding>();
  const open = async (bytes: Uint8Array, others: SessionOptions = {}): Promise<Session> => {
    const session = await driver.createSession(bytes, { ...sessionOptions, ...others, sharedArena: true });
    sessions.push(session);
    return session;
  };
  const bound = (key: string, session: Session, bind: (binding: Binding) => void): Binding => {
    let binding = bindings.get(key);
    if (binding !== undefined) return binding;
    binding = session.bind();
    bindings.set(key, binding);
    bind(binding);
    return binding;
  };

  const parameters = turning(options.state.parameters);
  const statistics = turning(options.state.statistics);
  const optimizer = turning(options.state.state);
  const averages = turning(options.state.ema);
  const count = options.state.parameters.length;
  const images = tensor(new Float32Array(batch * sizeOf(options.imageDims)), [batch, ...options.imageDims]);
  const labels = new BigInt64Array(batch);
  const masks = gradient.interface.inputs.masks.map(({ name, shape }) => {
    const dims = [batch, ...shape];
    return { name, mask: tensor(new Float32Array(sizeOf(dims)), dims) };
  });
  const firstGradient = new Float32Array(count);
  let nextGradient: Float32Array | undefined;
  const loss = new Float32Array(1);
  const correct = new BigInt64Array(1);
  const norm = new Float32Array(1);
  const rate = new Float32Array(1);
  const counter = new BigInt64Array(1);
  const { graphOptimization = 'all' } = options;
  const gradientSession = await open(gradient.bytes(), { graphOptimization });
  const updateSession = await open(update.bytes());
  let done = options.step ?? 0;
  /** Micro-batches since the last update. */
  let pending = 0;
  /** The running statistics before the first of several micro-batches. */
  let statisticsBefore: Float32Array | undefined;

  const combine = async (
    x: Float32Array,
    y: Float32Array,
    a: number,
    b: number,
    result: Float32Array,
  ): Promise<void> => {
    const key = `combine ${x.length}`;
    let session = combiners.get(key);
    if (session === undefined) combiners.set(key, (session = await open(buildCombineGraph(x.length).bytes())));
    const binding = session.bind();
    try {
      binding.bindInput('x', tensor(x));
      binding.bindInput('y', tensor(y));
      binding.bindInput('a', tensor(Float32Array.of(a), []));
      binding.bindInput('b', tensor(Float32Array.of(b), []));
      binding.bindOutput('result', tensor(result));
      await binding.run();
    } finally {
      binding.close();
    }
  };
  const combiners = new Map<string, Session>();

  /** Forgets the micro-batches since the last update. */
  const undo = (): void => {
    if (pending === 1) turn(statistics);
    if (pending > 1) current(statistics).set(statisticsBefore!);
    pending = 0;
  };
  const numeric = (fact: string): LowrankError => {
    undo();
    return new LowrankError('NUMERIC', fact, { place: `step ${done + 1}` });
  };

  return {
    get step() {
      return done;
    },
    state: {
      get parameters() {
        return current(parameters);
      },
      get statistics() {
        return current(statistics);
      },
      get state() {
        return current(optimizer);
      },
      get ema() {
        return current(averages);
      },
    },
    async accumulate(micro) {
      if (pending === 1) statisticsBefore = Float32Array.from(other(statistics));
      (images.data as Float32Array).set(micro.images);
      labels.set(micro.labels);
      for (const { name, mask } of masks) (mask.data as Float32Array).set(micro.masks![name]!);
      // The first gradient goes where the update reads it; further ones beside it, to be added.
      const isFirst = pending === 0;
      if (!isFirst) nextGradient ??= new Float32Array(count);
      const target = isFirst ? firstGradient : nextGradient!;
      const key = `gradient ${parameters.index} ${statistics.index} ${isFirst}`;
      const binding = bound(key, gradientSession, (made) => {
        const { inputs, outputs } = gradient.interface;
        made.bindInput(inputs.parameters, tensor(current(parameters)));
        made.bindInput(inputs.statistics, tensor(current(statistics)));
        made.bindInput(inputs.images, images);
        made.bindInput(inputs.labels, { type: 'int64', dims: [batch], data: labels });
        for (const { name, mask } of masks) made.bindInput(name, mask);
        made.bindOutput(outputs.loss, tensor(loss, []));
        made.bindOutput(outputs.correct, { type: 'int64', dims: [], data: correct });
        made.bindOutput(outputs.gradient, tensor(target));
        made.bindOutput(outputs.statistics, tensor(other(statistics)));
      });
      await orOutOfMemory(binding.run());
      if (!Number.isFinite(loss[0]!)) throw numeric(`the loss is ${loss[0]!}`);
      turn(statistics);
      pending++;
      if (!isFirst) await combine(firstGradient, target, 1, 1, firstGradient);
      return { loss: loss[0]!, correct: Number(correct[0]!) };
    },
    async update(learningRate) {
      if (pending === 0) throw new LowrankError('INTERNAL', 'an update without a gradient');
      if (pending > 1) await combine(firstGradient, firstGradient, 1 / pending, 0, firstGradient);
      rate[0] = learningRate;
      counter[0] = BigInt(done + 1);
      const binding = bound(`update ${parameters.index} ${optimizer.index}`, updateSession, (made) => {
        const { inputs, outputs } = update.interface;
        made.bindInput(inputs.parameters, tensor(current(parameters)));
        made.bindInput(inputs.gradient, tensor(firstGradient));
        made.bindInput(inputs.state, tensor(current(optimizer)));
        made.bindInput(inputs.learningRate, tensor(rate, []));
        made.bindInput(inputs.step, { type: 'int64', dims: [], data: counter });
        made.bindOutput(outputs.parameters, tensor(other(parameters)));
        made.bindOutput(outputs.state, tensor(other(optimizer)));
        made.bindOutput(outputs.gradientNorm, tensor(norm, []));
      });
      await orOutOfMemory(binding.run());
      if (!Number.isFinite(norm[0]!)) throw numeric(`the norm of the gradient is ${norm[0]!}`);
      turn(parameters);
      turn(optimizer);
      done++;
      pending = 0;
      if (averageDecay !== undefined) {
        const part = (vector: Float32Array, now: Float32Array, at: number): Float32Array =>
          vector.subarray(at, at + now.length);
        for (const [now, at] of [[current(parameters), 0] as const, [current(statistics), count] as const]) {
          if (now.length === 0) continue;
          const before = part(current(averages), now, at);
          await combine(before, now, averageDecay, 1 - averageDecay, part(other(averages), now, at));
        }
        turn(averages);
      }
      return { gradientNorm: norm[0]! };
    },
    async close() {
      for (const binding of bindings.values()) binding.close();
      for (const session of sessions) await session.close();
    },
  };
}

const allocationFailure = /fail\w* to allocate|bad[ _]alloc|out of memory|not enough memory|CUDA failure 2:/i;

/** onnxruntime's failures to get memory, with what to do about them. */
async function orOutOfMemory(running: Promise<void>): Promise<void> {
  try {
    await running;
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'RUNTIME' || !allocationFailure.test(error.fact))
      throw error;
    throw outOfMemory(error);
  }
}

/** There is too little memory for a training step. */
export function outOfMemory(cause: unknown): LowrankError {
  return new LowrankError('RUNTIME', `out of memory: ${messageOf(cause)}`, {
    remedy: 'lower --batch-size (with --accumulate the update stays the same), then --image-size or --cache',
    cause,
  });
}
