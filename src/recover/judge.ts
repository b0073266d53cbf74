import type { Loader } from '../data/loader.js';
import { LowrankError, throwIfAborted } from '../errors.js';
import type { Closeness } from '../contracts/recover.js';
import { sizeOf } from '../ops/support/layout.js';
import type { Driver, RuntimeTensor, Session, SessionOptions } from '../runtime/types.js';
import type { EvalGraph } from '../step/eval-graph.js';
import type { TrainingState } from '../step/vectors.js';

/** Says how close weights are to the teacher, on pictures that are kept out. */
export interface Judge {
  readonly images: number;
  measure(state: Pick<TrainingState, 'parameters' | 'statistics'>): Promise<Closeness>;
  close(): Promise<void>;
}

interface Held {
  readonly images: RuntimeTensor;
  readonly labels: RuntimeTensor | undefined;
  readonly size: number;
}

/** Decodes the pictures once, and keeps them. Throws INPUT where none can be used, RUNTIME, ABORTED. */
export async function openJudge(
  graph: EvalGraph,
  loader: Loader,
  imageDims: readonly number[],
  hasClasses: boolean,
  { driver, session: options, signal }: { driver: Driver; session: SessionOptions; signal: AbortSignal | undefined },
): Promise<Judge> {
  const batches: Held[] = [];
  for await (const { images, labels, targets, size } of loader.batches(0)) {
    throwIfAborted(signal);
    if (size === 0) continue;
    const data = (images as Float32Array).slice(0, size * sizeOf(imageDims));
    const classes = targets === undefined ? undefined : targets.length / labels.length;
    batches.push({
      images: { type: 'float32', dims: [size, ...imageDims], data },
      labels:
        targets === undefined || classes === undefined
          ? { type: 'int64', dims: [size], data: labels.slice(0, size) }
          : { type: 'float32', dims: [size, classes], data: targets.slice(0, size * classes) },
      size,
    });
  }
  const total = batches.reduce((sum, { size }) => sum + size, 0);
  if (total === 0) throw new LowrankError('INPUT', 'none of the pictures to judge by can be decoded');
  const session: Session = await driver.createSession(graph.bytes(), options);
  const { inputs, outputs } = graph.interface;
  return {
    images: total,
    measure: async ({ parameters, statistics }) => {
      let loss = 0;
      let correct = 0;
      const vector = (data: Float32Array): RuntimeTensor => ({ type: 'float32', dims: [data.length], data });
      for (const { images, labels, size } of batches) {
        throwIfAborted(signal);
        const feeds = {
          [inputs.parameters]: vector(parameters),
          [inputs.statistics]: vector(statistics),
          [inputs.images]: images,
          ...(inputs.labels === undefined ? {} : { [inputs.labels]: labels! }),
        };
        const found = await session.run(feeds, [outputs.loss, outputs.correct], { signal });
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
