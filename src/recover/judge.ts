import type { Closeness } from '../contracts/recover.js';
import type { Loader } from '../data/loader.js';
import { LowrankError, throwIfAborted } from '../errors.js';
import { sizeOf } from '../ops/support/layout.js';
import type { Driver, RuntimeTensor, Session, SessionOptions } from '../runtime/types.js';
import type { EvalGraph } from '../step/eval-graph.js';
import type { TrainingState } from '../step/vectors.js';

/** Says how close weights are to the teacher, on pictures that are kept out. */
export interface Judge {
  readonly images: number;
  /** `toTheEnd`: whatever the signal says. Throws RUNTIME, ABORTED. */
  measure(state: Pick<TrainingState, 'parameters' | 'statistics'>, toTheEnd?: boolean): Promise<Closeness>;
  close(): Promise<void>;
}

/** Pictures that are kept out. */
export interface Held {
  readonly images: RuntimeTensor;
  /** One per picture, or 0 and 1 for every class of each; undefined where nobody reads them. */
  readonly labels: RuntimeTensor | undefined;
  readonly size: number;
}

export interface JudgeRuns {
  readonly driver: Driver;
  readonly session: SessionOptions;
  readonly signal: AbortSignal | undefined;
}

/** Decodes pictures, to keep them. Throws INPUT where none can be used, ABORTED. */
export async function holdOut(
  loader: Loader,
  imageDims: readonly number[],
  signal: AbortSignal | undefined,
): Promise<readonly Held[]> {
  const held: Held[] = [];
  for await (const { images, labels, targets, size } of loader.batches(0)) {
    throwIfAborted(signal);
    if (size === 0) continue;
    const data = (images as Float32Array).slice(0, size * sizeOf(imageDims));
    const classes = targets === undefined ? undefined : targets.length / labels.length;
    held.push({
      images: { type: 'float32', dims: [size, ...imageDims], data },
      labels:
        targets === undefined || classes === undefined
          ? { type: 'int64', dims: [size], data: labels.slice(0, size) }
          : { type: 'float32', dims: [size, classes], data: targets.slice(0, size * classes) },
      size,
    });
  }
  if (held.length === 0) throw new LowrankError('INPUT', 'none of the pictures to judge by can be decoded');
  return held;
}

/** `taught`: what the graph is fed beside the pictures and labels, by input name, in the order of `held`. Throws RUNTIME. */
export async function openJudge(
  graph: EvalGraph,
  held: readonly Held[],
  hasClasses: boolean,
  { driver, session: options, signal }: JudgeRuns,
  taught: readonly Readonly<Record<string, RuntimeTensor>>[] = [],
): Promise<Judge> {
  const session: Session = await driver.createSession(graph.bytes(), options);
  const total = held.reduce((sum, { size }) => sum + size, 0);
  const { inputs, outputs } = graph.interface;
  return {
    images: total,
    measure: async ({ parameters, statistics }, toTheEnd = false) => {
      const ending = toTheEnd ? undefined : signal;
      let loss = 0;
      let correct = 0;
      for (const [i, { images, labels, size }] of held.entries()) {
        throwIfAborted(ending);
        const feeds = {
          [inputs.parameters]: vector(parameters),
          [inputs.statistics]: vector(statistics),
          [inputs.images]: images,
          ...(inputs.labels === undefined ? {} : { [inputs.labels]: labels! }),
          ...taught[i],
        };
        const found = await session.run(feeds, [outputs.loss, outputs.correct], { signal: ending });
        loss += Number(found[outputs.loss]!.data[0]) * size;
        correct += Number(found[outputs.correct]!.data[0]);
      }
      return { loss: loss / total, agreement: hasClasses ? correct / total : null };
    },
    close: async () => {
      await session.close();
    },
  };
}

export const vector = (data: Float32Array): RuntimeTensor => ({ type: 'float32', dims: [data.length], data });
