import { describe, expect, it } from 'vitest';
import { loadDriver } from '../../src/runtime/driver.js';
import { buildEvalGraph } from '../../src/step/eval-graph.js';
import { lengthOf } from '../../src/step/flat.js';
import { buildGradientGraph, type GradientGraph } from '../../src/step/gradient-graph.js';
import { drawMasks } from '../../src/step/masks.js';
import { type Prepared, prepareTraining } from '../../src/step/prepare.js';
import { defaultGraphSettings, type GraphSettings } from '../../src/step/settings.js';
import { targetOf, type TargetName } from '../../src/lower/target.js';
import { initialState } from '../../src/step/vectors.js';
import { fillTruncatedNormal, randomStream } from '../../src/random.js';
import { tinyClassifier, type TinyOptions } from '../support/tiny-classifier.js';

const batch = 4;
const driver = await loadDriver();
const labels = BigInt64Array.of(0n, 1n, 2n, 0n);
const images = new Float32Array(batch * 3 * 16 * 16);
fillTruncatedNormal(randomStream(1, 'images'), images, 0, 1);

interface Case {
  readonly prepared: Prepared;
  readonly graph: GradientGraph;
  readonly parameters: Float32Array;
  readonly statistics: Float32Array;
}

async function prepare(settings: Partial<GraphSettings>, target: TargetName, options: TinyOptions = {}): Promise<Case> {
  const all = { ...defaultGraphSettings, ...settings };
  const prepared = prepareTraining(tinyClassifier(options), { settings: all });
  const { build, opsets } = await targetOf(target, driver);
  const graph = buildGradientGraph(prepared, all, { batch, isBatchOpen: false }, build, opsets);
  const { parameters, statistics } = initialState(prepared, 0, false);
  return { prepared, graph, parameters, statistics };
}

type Masks = Readonly<Record<string, Float32Array>>;

/** A function of parameters: the loss and its gradient. */
async function openLoss({ graph, statistics }: Case, masks: Masks) {
  const session = await driver.createSession(graph.bytes());
  const { inputs, outputs } = graph.interface;
  const drawn = inputs.masks.map(({ name, shape }) => {
    const tensor = { type: 'float32' as const, dims: [batch, ...shape], data: masks[name]! };
    return [name, tensor] as const;
  });
  return {
    close: () => session.close(),
    at: async (parameters: Float32Array) => {
      const result = await session.run({
        [inputs.parameters]: { type: 'float32', dims: [parameters.length], data: parameters },
        [inputs.statistics]: { type: 'float32', dims: [statistics.length], data: statistics },
        [inputs.images]: { type: 'float32', dims: [batch, 3, 16, 16], data: images },
        [inputs.labels!]: { type: 'int64', dims: [batch], data: labels },
        ...Object.fromEntries(drawn),
      });
      const loss = (result[outputs.loss]!.data as Float32Array)[0]!;
      return { loss, gradient: result[outputs.gradient]!.data as Float32Array };
    },
  };
}

const targets = ['portable', 'cpu'] as const;

describe.each(targets)('dropout and stochastic depth, target %s', (target) => {
  it('makes one mask of the features and one number per sample and residual branch, linear in depth', async () => {
    const { graph } = await prepare({ dropout: 0.4, dropPath: 0.3 }, target);
    const seen = graph.interface.inputs.masks.map(({ shape, ratio }) => [shape, Math.fround(ratio)]);
    expect(seen).toEqual([
      [[1, 1, 1], Math.fround(0.15)],
      [[1, 1, 1], Math.fround(0.3)],
      [[8], Math.fround(0.4)],
    ]);
  });

  it('has the gradient that differences of the loss have, with the masks held', async () => {
    const settled = await prepare({ dropout: 0.4, dropPath: 0.5 }, target, { hasNormalization: false });
    // A draw in which every mask drops something and keeps something, or the test would say little.
    const draws = Array.from({ length: 50 }, (_, step) =>
      drawMasks(settled.graph.interface.inputs.masks, batch, 3, step, 0),
    );
    const masks = draws.find((draw) => Object.values(draw).every((values) => new Set(values).size === 2))!;
    expect(Object.keys(masks)).toHaveLength(3);
    const loss = await openLoss(settled, masks);
    const { parameters } = settled;
    const { gradient } = await loss.at(parameters);
    // Along the gradient itself: d/dt loss(p + t g) = ‖g‖². float32 losses near 1 are good to 1e-7, so a step that moves
    // the loss by 1e-3 gives three digits; ReLU's kinks on the way cost as much.
    const square = gradient.reduce((sum, value) => sum + value * value, 0);
    const t = 1e-3 / square;
    const [above, below] = await Promise.all(
      [t, -t].map(async (step) => (await loss.at(parameters.map((value, i) => value + step * gradient[i]!))).loss),
    );
    await loss.close();
    expect(square).toBeGreaterThan(0);
    expect((above! - below!) / (2 * t) / square).toBeCloseTo(1, 2);
  });

  it('a branch that is dropped for all samples gets no gradient, and the others do', async () => {
    const dropped = await prepare({ dropPath: 0.5 }, target);
    const [first, last] = dropped.graph.interface.inputs.masks;
    const masks = { [first!.name]: new Float32Array(batch).fill(1), [last!.name]: new Float32Array(batch) };
    const loss = await openLoss(dropped, masks);
    const { gradient } = await loss.at(dropped.parameters);
    await loss.close();
    const largest = (name: string): number => {
      const { offset, size } = dropped.prepared.parameters.find((parameter) => parameter.name === name)!;
      return gradient.subarray(offset, offset + size).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    };
    expect(largest('block2.conv1.weight')).toBe(0);
    expect(largest('block2.conv2.weight')).toBe(0);
    expect(largest('block1.conv2.weight')).toBeGreaterThan(1e-6);
    expect(largest('stem.weight')).toBeGreaterThan(1e-6);
  });
});

describe('setDropout', () => {
  it('takes the place of the ratio of a Dropout node that is there', async () => {
    const ratios = async (settings: Partial<GraphSettings>): Promise<readonly number[]> => {
      const { graph } = await prepare(settings, 'portable', { dropout: 0.25 });
      return graph.interface.inputs.masks.map(({ ratio }) => ratio);
    };
    expect(await ratios({})).toEqual([0.25]);
    expect(await ratios({ dropout: 0.5 })).toEqual([0.5]);
    expect(await ratios({ dropout: 0 })).toEqual([]);
  });

  it('leaves inference as it is', async () => {
    const logits = async (settings: Partial<GraphSettings>): Promise<Float32Array> => {
      const all = { ...defaultGraphSettings, ...settings };
      const prepared = prepareTraining(tinyClassifier(), { settings: all });
      const graph = buildEvalGraph(prepared, { batch, isBatchOpen: true });
      const { parameters, statistics } = initialState(prepared, 0, false);
      expect(parameters.length).toBe(lengthOf(prepared.parameters));
      const session = await driver.createSession(graph.bytes());
      const { inputs, outputs } = graph.interface;
      const result = await session.run({
        [inputs.parameters]: { type: 'float32', dims: [parameters.length], data: parameters },
        [inputs.statistics]: { type: 'float32', dims: [statistics.length], data: statistics },
        [inputs.images]: { type: 'float32', dims: [batch, 3, 16, 16], data: images },
        [inputs.labels!]: { type: 'int64', dims: [batch], data: labels },
      });
      await session.close();
      return result[outputs.logits]!.data as Float32Array;
    };
    expect([...(await logits({ dropout: 0.5, dropPath: 0.5 }))]).toEqual([...(await logits({}))]);
  });
});
