import { describe, expect, it } from 'vitest';
import { normalizeByMeans } from '../../../src/lower/cuda/normalize-by-means.js';
import { runPasses } from '../../../src/passes/runner.js';
import { loadDriver } from '../../../src/runtime/driver.js';
import type { RuntimeTensor } from '../../../src/runtime/types.js';
import { buildGradientGraph, type GradientGraph } from '../../../src/step/gradient-graph.js';
import { prepareTraining } from '../../../src/step/prepare.js';
import { targetOf } from '../../../src/lower/target.js';
import { initialState } from '../../../src/step/vectors.js';
import { hasGoldens, nets, readGolden } from '../../train/support/golden.js';
import { readModel } from '../../../src/graph/read.js';
import { buildModel } from '../../support/models.js';

const trainingForms = ({ model }: Pick<GradientGraph, 'model'>): number =>
  model.graph.nodes.filter((node) => node.is('BatchNormalization') && node.int('training_mode', 0) === 1).length;

describe.skipIf(!hasGoldens)('normalize-by-means, of the target for CUDA', () => {
  for (const name of nets) {
    for (const isBatchOpen of [false, true]) {
      it(`${name}${isBatchOpen ? ', batch open' : ''}: same loss, gradient and statistics`, async () => {
        const golden = readGolden(name);
        const { settings, labels, images, imagesShape } = golden;
        const driver = await loadDriver();
        const prepared = prepareTraining(golden.modelPath, { settings });
        const { parameters, statistics } = initialState(prepared, 0, false);
        const run = async (graph: GradientGraph): Promise<Readonly<Record<string, Float32Array>>> => {
          const session = await driver.createSession(graph.bytes());
          const { inputs, outputs } = graph.interface;
          const feeds: Record<string, RuntimeTensor> = {
            [inputs.parameters]: { type: 'float32', dims: [parameters.length], data: parameters },
            [inputs.statistics]: { type: 'float32', dims: [statistics.length], data: statistics },
            [inputs.images]: { type: 'float32', dims: imagesShape, data: images },
            [inputs.labels!]: { type: 'int64', dims: [labels.length], data: labels },
          };
          const result = await session.run(feeds, [outputs.loss, outputs.gradient, outputs.statistics]);
          await session.close();
          return Object.fromEntries(Object.entries(result).map(([key, { data }]) => [key, data as Float32Array]));
        };
        const { passes } = await targetOf('cuda', driver);
        const emit = { batch: labels.length, isBatchOpen };
        const plain = buildGradientGraph(prepared, settings, emit);
        const byMeans = buildGradientGraph(prepared, settings, { ...emit, passes });
        expect(trainingForms(plain)).toBeGreaterThan(0);
        expect(trainingForms(byMeans)).toBe(0);
        const [expected, actual] = [await run(plain), await run(byMeans)];
        for (const [key, values] of Object.entries(expected)) {
          const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          const error = values.reduce((most, value, i) => Math.max(most, Math.abs(value - actual[key]![i]!)), 0);
          // Other orders of sums: some hundred roundings of 2⁻²⁴, of the largest element.
          expect(error, key).toBeLessThanOrEqual(3e-5 * largest);
        }
        prepared.model.file?.close();
      });
    }
  }
});

describe('normalize-by-means', () => {
  it('leaves nodes that mix statistics into older ones, and says so', () => {
    const vector = (name: string, value: number) => ({ name, dims: [2], data: Float32Array.of(value, value) });
    const model = readModel(
      buildModel({
        inputs: [{ name: 'x', dims: [2, 2, 3] }],
        outputs: [{ name: 'y', dims: [2, 2, 3] }],
        initializers: [vector('scale', 1), vector('bias', 0), vector('mean', 0), vector('variance', 1)],
        nodes: [
          {
            op: 'BatchNormalization',
            inputs: ['x', 'scale', 'bias', 'mean', 'variance'],
            outputs: ['y', 'm', 'v'],
            attributes: { training_mode: 1 },
          },
        ],
      }),
    );
    const [result] = runPasses(model, [normalizeByMeans]).passes;
    expect(result!.changes).toBe(0);
    expect(result!.refusals.map(({ reason }) => reason)).toEqual(['it mixes statistics into older ones']);
    expect(trainingForms({ model })).toBe(1);
  });
});
