import { LowrankError } from '../errors.js';
import type { Binding, Driver, RuntimeTensor, Session, SessionOptions } from '../runtime/types.js';
import { buildCombineGraph } from './combine-graph.js';
import type { GradientGraph } from './gradient-graph.js';
import type { UpdateGraph } from './update-graph.js';
import type { TrainingState } from './vectors.js';

export interface TrainerOptions {
  readonly driver: Driver;
  readonly gradient: GradientGraph;
  readonly update: UpdateGraph;
  readonly state: TrainingState;
  /** Images of one run of the gradient graph. */
  readonly batch: number;
  /** For one image, as the gradient graph takes it. */
  readonly imageDims: readonly number[];
  readonly classes: number;
  /** Decay of the moving averages; undefined: none. */
  readonly averageDecay?: number | undefined;
  readonly session?: SessionOptions;
}

/** What a step is fed. */
export interface MicroBatch {
  /** float32, batch × image. */
  readonly images: Float32Array;
  readonly labels: BigInt64Array;
  /** By input name. */
  readonly masks?: Readonly<Record<string, Float32Array>>;
}

export interface StepResult {
  /** Means over the micro-batches. */
  readonly loss: number;
  readonly correct: number;
  /** Of the loss, before clipping and decay. */
  readonly gradientNorm: number;
}

/** Runs training steps over flat vectors that stay where they are: bound once, written in turns. */
export interface Trainer {
  /** Steps done, counted from the start of the training. */
  readonly step: number;
  /**
   * One update from the micro-batches, whose gradients are averaged; each moves the running statistics.
   * Throws NUMERIC, with the state as it was, where the loss or the gradient is not finite; RUNTIME.
   */
  run(batches: readonly MicroBatch[], learningRate: number): Promise<StepResult>;
  /** The state as it is now, not copied: valid until the next step. */
  readonly state: TrainingState;
  close(): Promise<void>;
}

const tensor = (data: Float32Array, dims: readonly number[] = [data.length]): RuntimeTensor => ({
  type: 'float32',
  dims,
  data,
});

interface Bound {
  readonly binding: Binding;
}

/** The two halves of a pair of vectors that are read and written in turns. */
class PingPong {
  readonly #vectors: [Float32Array, Float32Array];
  #current = 0;

  constructor(initial: Float32Array) {
    this.#vectors = [Float32Array.from(initial), new Float32Array(initial.length)];
  }

  get index(): number {
    return this.#current;
  }

  get current(): Float32Array {
    return this.#vectors[this.#current]!;
  }

  at(index: number): Float32Array {
    return this.#vectors[index]!;
  }

  turn(): void {
    this.#current = 1 - this.#current;
  }
}

/** Starts onnxruntime sessions of the graphs. `step` counts the steps that `state` has behind it. Throws RUNTIME, DEVICE. */
export async function createTrainer(options: TrainerOptions, step = 0): Promise<Trainer> {
  const { driver, gradient, update, batch, classes, averageDecay, session: sessionOptions = {} } = options;
  const sessions: Session[] = [];
  const open = async (bytes: Uint8Array): Promise<Session> => {
    const session = await driver.createSession(bytes, sessionOptions);
    sessions.push(session);
    return session;
  };
  const parameters = new PingPong(options.state.parameters);
  const statistics = new PingPong(options.state.statistics);
  const optimizer = new PingPong(options.state.state);
  const averages = new PingPong(options.state.ema);
  const count = options.state.parameters.length;
  const images = new Float32Array(batch * options.imageDims.reduce((product, dim) => product * dim, 1));
  const labels = new BigInt64Array(batch);
  const masks = new Map(
    gradient.interface.inputs.masks.map(({ name, shape }) => {
      const dims = [batch, ...shape];
      return [name, tensor(new Float32Array(dims.reduce((product, dim) => product * dim, 1)), dims)] as const;
    }),
  );
  const gradients = new PingPong(new Float32Array(count));
  const sums = new PingPong(new Float32Array(0));
  void sums;
  const loss = new Float32Array(1);
  const correct = new BigInt64Array(1);
  const logits = new Float32Array(batch * classes);
  const norm = new Float32Array(1);
  const rate = new Float32Array(1);
  const counter = new BigInt64Array(1);

  const gradientSession = await open(gradient.bytes());
  const updateSession = await open(update.bytes());
  const bindGradient = (p: number, s: number, g: number): Bound => {
    const binding = gradientSession.bind();
    const { inputs, outputs } = gradient.interface;
    binding.bindInput(inputs.parameters, tensor(parameters.at(p)));
    binding.bindInput(inputs.statistics, tensor(statistics.at(s)));
    binding.bindInput(inputs.images, tensor(images, [batch, ...options.imageDims]));
    binding.bindInput(inputs.labels, { type: 'int64', dims: [batch], data: labels });
    for (const [name, mask] of masks) binding.bindInput(name, mask);
    binding.bindOutput(outputs.loss, tensor(loss, []));
    binding.bindOutput(outputs.correct, { type: 'int64', dims: [], data: correct });
    binding.bindOutput(outputs.logits, tensor(logits, [batch, classes]));
    binding.bindOutput(outputs.gradient, tensor(gradients.at(g)));
    binding.bindOutput(outputs.statistics, tensor(statistics.at(1 - s)));
    return { binding };
  };
  const bindUpdate = (p: number, o: number): Bound => {
    const binding = updateSession.bind();
    const { inputs, outputs } = update.interface;
    binding.bindInput(inputs.parameters, tensor(parameters.at(p)));
    binding.bindInput(inputs.gradient, tensor(gradients.at(0)));
    binding.bindInput(inputs.state, tensor(optimizer.at(o)));
    binding.bindInput(inputs.learningRate, tensor(rate, []));
    binding.bindInput(inputs.step, { type: 'int64', dims: [], data: counter });
    binding.bindOutput(outputs.parameters, tensor(parameters.at(1 - p)));
    binding.bindOutput(outputs.state, tensor(optimizer.at(1 - o)));
    binding.bindOutput(outputs.gradientNorm, tensor(norm, []));
    return { binding };
  };
  const cache = new Map<string, Bound>();
  const cached = (key: string, make: () => Bound): Bound => {
    let bound = cache.get(key);
    if (bound === undefined) cache.set(key, (bound = make()));
    return bound;
  };

  const accumulator = await lazyCombine(count);
  const averager = await lazyCombine(options.state.ema.length);

  /** A session of the combine graph, opened when it is first needed. */
  async function lazyCombine(
    length: number,
  ): Promise<(x: Float32Array, y: Float32Array, a: number, b: number, result: Float32Array) => Promise<void>> {
    let session: Session | undefined;
    return async (x, y, a, b, result) => {
      session ??= await open(buildCombineGraph(length).bytes());
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
  }

  const state: TrainingState = {
    get parameters() {
      return parameters.current;
    },
    get statistics() {
      return statistics.current;
    },
    get state() {
      return optimizer.current;
    },
    get ema() {
      return averages.current;
    },
  };

  let done = step;
  return {
    get step() {
      return done;
    },
    state,
    async run(batches, learningRate) {
      const statisticsBefore = batches.length > 1 ? Float32Array.from(statistics.current) : undefined;
      const wasAt = statistics.index;
      let lossSum = 0;
      let correctSum = 0;
      for (const [k, micro] of batches.entries()) {
        images.set(micro.images);
        labels.set(micro.labels);
        for (const [name, mask] of masks) (mask.data as Float32Array).set(micro.masks![name]!);
        // The first gradient goes where the update reads it; further ones beside it, to be added.
        const g = k === 0 ? 0 : 1;
        const key = `${parameters.index}${statistics.index}${g}`;
        const bound = cached(`g${key}`, () => bindGradient(parameters.index, statistics.index, g));
        await bound.binding.run();
        if (!Number.isFinite(loss[0]!)) {
          if (k > 0) restore();
          throw new LowrankError('NUMERIC', `the loss is ${loss[0]!}`, { place: `step ${done + 1}` });
        }
        statistics.turn();
        lossSum += loss[0]!;
        correctSum += Number(correct[0]!);
        if (k > 0) await accumulator(gradients.at(0), gradients.at(1), 1, 1, gradients.at(0));
      }
      if (batches.length > 1) {
        await accumulator(gradients.at(0), gradients.at(0), 1 / batches.length, 0, gradients.at(0));
      }
      rate[0] = learningRate;
      counter[0] = BigInt(done + 1);
      const bound = cached(`u${parameters.index}${optimizer.index}`, () =>
        bindUpdate(parameters.index, optimizer.index),
      );
      await bound.binding.run();
      if (!Number.isFinite(norm[0]!)) {
        restore();
        throw new LowrankError('NUMERIC', `the gradient's norm is ${norm[0]!}`, { place: `step ${done + 1}` });
      }
      parameters.turn();
      optimizer.turn();
      done++;
      if (averageDecay !== undefined) await average(averageDecay);
      return { loss: lossSum / batches.length, correct: correctSum, gradientNorm: norm[0]! };

      /** Puts the statistics back to where they were before the step. */
      function restore(): void {
        if (statistics.index !== wasAt) statistics.turn();
        if (statisticsBefore !== undefined) statistics.current.set(statisticsBefore);
      }
    },
    async close() {
      for (const { binding } of cache.values()) binding.close();
      for (const session of sessions) await session.close();
    },
  };

  /** a = d a + (1 − d) w, for the parameters and the running statistics alike. */
  async function average(decay: number): Promise<void> {
    const now = new Float32Array(averages.current.length);
    now.set(parameters.current);
    now.set(statistics.current, count);
    await averager(averages.current, now, decay, 1 - decay, averages.at(1 - averages.index));
    averages.turn();
  }
}
