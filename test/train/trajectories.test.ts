import { describe, expect, it } from 'vitest';
import { findLayers } from '../../src/rewrite/layers.js';
import { findPairs } from '../../src/rewrite/find-pairs.js';
import { loadDriver } from '../../src/runtime/driver.js';
import type { RuntimeTensor } from '../../src/runtime/types.js';
import type { Slot } from '../../src/step/flat.js';
import { buildGradientGraph } from '../../src/step/gradient-graph.js';
import { losses } from '../../src/step/losses/index.js';
import { prepareTraining, type Prepared } from '../../src/step/prepare.js';
import { optimizerNames } from '../../src/contracts/train-settings.js';
import { createTrainer } from '../../src/training/trainer.js';
import { buildUpdateGraph } from '../../src/step/update-graph.js';
import { initialState } from '../../src/step/vectors.js';
import { readTrajectory, type Trajectory, trajectoryNames } from './support/trajectory.js';

/**
 * Of the largest number of a tensor: 1e-5. A float32 run of PyTorch is off by up to 2e-6 from its float64 run, whose numbers are
 * stored with 5e-7; nothing lies so close to a kink of ReLU or MaxPool that it could fall on its other side (golden/make.py).
 */
const tolerance = 1e-5;

function expectNear(actual: ArrayLike<number>, expected: readonly number[], what: string): void {
  expect(actual.length, what).toBe(expected.length);
  const largest = Math.max(...expected.map(Math.abs));
  const error = Math.max(...expected.map((number, i) => Math.abs(number - actual[i]!))) / largest;
  expect(error, `${what}: largest error ${error} of the largest number`).toBeLessThanOrEqual(tolerance);
}

/** Holds each tensor of a flat vector to PyTorch's. */
function expectTensors(
  vector: Float32Array,
  slots: readonly Slot[],
  expected: Trajectory['gradients'],
  what: string,
): void {
  for (const { name, offset, size } of slots) {
    expectNear(vector.subarray(offset, offset + size), expected[name]!, `${what} of ${name}`);
  }
}

/** The gradient graph with an open batch, as it is exported. */
async function firstGradient(prepared: Prepared, trajectory: Trajectory): Promise<Float32Array> {
  const { settings, batch, batchOf } = trajectory;
  const graph = buildGradientGraph(prepared, settings, { batch, isBatchOpen: true });
  const { parameters, statistics } = initialState(prepared, 0, false);
  const { images, labels } = batchOf(0);
  const floats = (data: Float32Array, ...dims: readonly number[]): RuntimeTensor => ({ type: 'float32', dims, data });
  const session = await (await loadDriver()).createSession(graph.bytes());
  const { inputs, outputs } = graph.interface;
  try {
    const result = await session.run({
      [inputs.parameters]: floats(parameters, parameters.length),
      [inputs.statistics]: floats(statistics, statistics.length),
      [inputs.images]: floats(images, batch, ...prepared.imageDims),
      [inputs.labels!]:
        labels instanceof Float32Array
          ? floats(labels, batch, prepared.classes)
          : { type: 'int64', dims: [batch], data: labels },
    });
    return result[outputs.gradient]!.data as Float32Array;
  } finally {
    await session.close();
  }
}

/** Gradient and update graphs with a fixed batch, as they train. */
async function follow(prepared: Prepared, { settings, batch, ...trajectory }: Trajectory): Promise<void> {
  const gradient = buildGradientGraph(prepared, settings, { batch, isBatchOpen: false });
  const update = buildUpdateGraph(prepared, settings);
  const state = initialState(prepared, update.stateLength, false);
  const trainer = await createTrainer({ driver: await loadDriver(), gradient, update, state, batch });
  try {
    for (const [step, expected] of trajectory.steps.entries()) {
      const seen = await trainer.accumulate(trajectory.batchOf(step));
      const updated = await trainer.update(trajectory.learningRate);
      const when = `step ${step + 1}`;
      expectNear([seen!.loss], [expected.loss], `${when}: loss`);
      expectNear([updated!.gradientNorm], [expected.gradientNorm], `${when}: norm of the gradient`);
      const { parameters, statistics } = await trainer.read();
      expectTensors(parameters, prepared.parameters, expected.tensors, `${when}: parameters`);
      expectTensors(statistics, prepared.statistics, expected.tensors, `${when}: statistics`);
    }
  } finally {
    await trainer.close();
  }
}

describe('PyTorch trajectories of tiny nets', () => {
  it.each(trajectoryNames)('%s', async (name) => {
    const trajectory = readTrajectory(name);
    const prepared = prepareTraining(trajectory.model, { settings: trajectory.settings });
    const trained = [...prepared.parameters, ...prepared.statistics].map((slot) => slot.name);
    expect(new Set(trained)).toEqual(new Set(Object.keys(trajectory.steps[0]!.tensors)));
    expect(prepared.loss).toBe(trajectory.loss);
    const { pairs } = findPairs(prepared.model, findLayers(prepared.model.graph, prepared.shapesFor(1)));
    expect(pairs.map(({ scheme }) => scheme)).toEqual([trajectory.scheme, 'dense']);

    const gradient = await firstGradient(prepared, trajectory);
    expectTensors(gradient, prepared.parameters, trajectory.gradients, 'gradient');
    await follow(prepared, trajectory);
  });

  it('have every optimizer, loss and scheme', () => {
    const trajectories = trajectoryNames.map(readTrajectory);
    const all = <T>(of: (trajectory: Trajectory) => T): Set<T> => new Set(trajectories.map(of));
    expect(all(({ settings }) => settings.optimizer)).toEqual(new Set(optimizerNames));
    expect(all(({ loss }) => loss)).toEqual(new Set(Object.keys(losses)));
    expect(all(({ scheme }) => scheme)).toEqual(new Set(['channel', 'spatial']));
  });
});
