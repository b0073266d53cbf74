import { expect } from 'vitest';
import { fillTruncatedNormal, randomStream } from '../../../src/random.js';
import type { Driver, RuntimeTensor } from '../../../src/runtime/types.js';
import { buildGradientGraph } from '../../../src/step/gradient-graph.js';
import type { Trainable } from '../../../src/step/goals/goal.js';
import { defaultGraphSettings } from '../../../src/step/settings.js';
import { targetOf, type TargetName } from '../../../src/lower/target.js';
import { initialState } from '../../../src/step/vectors.js';

/** Numbers of a normal distribution cut off at two deviations. */
export function normal(name: string, size: number, deviation = 1): Float32Array {
  const data = new Float32Array(size);
  fillTruncatedNormal(randomStream(11, name), data, 0, deviation);
  return data;
}

export interface LossFunction {
  readonly parameters: Float32Array;
  at(
    parameters: Float32Array,
  ): Promise<{ readonly loss: number; readonly gradient: Float32Array; readonly correct: number }>;
  close(): Promise<void>;
}

/** The loss of a prepared model on random images, labels 0, 1, 2, … in turn (or every other class, with a Sigmoid). */
export async function lossOf(
  driver: Driver,
  prepared: Trainable,
  { batch = 4, target = 'portable' }: { readonly batch?: number; readonly target?: TargetName } = {},
): Promise<LossFunction> {
  const { build, opsets } = await targetOf(target, driver);
  const graph = buildGradientGraph(prepared, defaultGraphSettings, { batch, isBatchOpen: false }, build, opsets);
  const session = await driver.createSession(graph.bytes());
  const { inputs, outputs } = graph.interface;
  const { parameters, statistics } = initialState(prepared, 0, false);
  const { imageDims, goal } = prepared;
  const classes = goal.classes ?? 1;
  const size = imageDims.reduce((product, dim) => product * dim, batch);
  const labels: RuntimeTensor =
    goal.targets[0]?.type !== 'float32'
      ? { type: 'int64', dims: [batch], data: BigInt64Array.from({ length: batch }, (_, i) => BigInt(i % classes)) }
      : {
          type: 'float32',
          dims: [batch, classes],
          data: Float32Array.from({ length: batch * classes }, (_, i) => i % 2),
        };
  const masks = inputs.masks.map(({ name, shape }): [string, RuntimeTensor] => {
    const count = shape.reduce((product, dim) => product * dim, batch);
    return [name, { type: 'float32', dims: [batch, ...shape], data: new Float32Array(count).fill(1) }];
  });
  const taught = goal.targets
    .filter(({ name }) => name.startsWith('taught.'))
    .map(({ name, dims }): [string, RuntimeTensor] => {
      const count = dims.reduce((product, dim) => product * dim, batch);
      return [name, { type: 'float32', dims: [batch, ...dims], data: normal(name, count) }];
    });
  return {
    parameters,
    at: async (values) => {
      const result = await session.run({
        [inputs.parameters]: { type: 'float32', dims: [values.length], data: values },
        [inputs.statistics]: { type: 'float32', dims: [statistics.length], data: statistics },
        [inputs.images]: { type: 'float32', dims: [batch, ...imageDims], data: normal('images', size) },
        ...(inputs.labels === undefined ? {} : { [inputs.labels]: labels }),
        ...Object.fromEntries([...masks, ...taught]),
      });
      return {
        loss: (result[outputs.loss]!.data as Float32Array)[0]!,
        gradient: Float32Array.from(result[outputs.gradient]!.data as Float32Array),
        correct: Number((result[outputs.correct]!.data as BigInt64Array)[0]!),
      };
    },
    close: async () => {
      await session.close();
    },
  };
}

/**
 * Holds the gradient of every parameter to the difference of two losses along a random direction of that tensor alone. With a
 * step h of 3e-3 the difference is off by O(h²) of curvature, by the kinks of ReLU in between, and by 2⁻²³ · loss / h, 5e-5, of
 * rounding: 3 % of the slope and 1e-3.
 */
export async function expectRightGradients(
  driver: Driver,
  prepared: Trainable,
  options: Parameters<typeof lossOf>[2] = {},
): Promise<void> {
  const loss = await lossOf(driver, prepared, options);
  try {
    const { gradient } = await loss.at(loss.parameters);
    for (const { name, offset, size } of prepared.parameters) {
      const direction = normal(`direction ${name}`, size);
      const length = Math.hypot(...direction);
      const h = 3e-3;
      const moved = (sign: number): Float32Array => {
        const values = Float32Array.from(loss.parameters);
        direction.forEach((step, i) => (values[offset + i]! += (sign * h * step) / length));
        return values;
      };
      const [above, below] = [await loss.at(moved(1)), await loss.at(moved(-1))];
      const difference = (above.loss - below.loss) / (2 * h);
      const slope = direction.reduce((sum, step, i) => sum + (step / length) * gradient[offset + i]!, 0);
      expect(Math.abs(slope - difference), `${name}: slope ${slope}, difference ${difference}`).toBeLessThan(
        1e-3 + 0.03 * Math.abs(slope),
      );
    }
  } finally {
    await loss.close();
  }
}
