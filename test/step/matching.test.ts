import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { loadDriver } from '../../src/runtime/driver.js';
import type { MatchSettings } from '../../src/step/match-settings.js';
import { prepareMatching } from '../../src/step/prepare-matching.js';
import { defaultGraphSettings } from '../../src/step/settings.js';
import { initialState } from '../../src/step/vectors.js';
import { buildEvalGraph } from '../../src/step/eval-graph.js';
import { buildModel, type TestModel } from '../support/models.js';
import { tinyClassifier } from '../support/tiny-classifier.js';
import { expectRightGradients, lossOf, normal } from '../train/support/loss-of.js';

const driver = await loadDriver();
const settings = defaultGraphSettings;
const usual: MatchSettings = {
  match: 'auto',
  matchTensors: null,
  temperature: 2,
  labelWeight: 0,
  batchNorm: 'frozen',
};

const prepare = (student: Uint8Array, teacher: Uint8Array, match: Partial<MatchSettings> = {}) =>
  prepareMatching(student, teacher, { settings, match: { ...usual, ...match } });

const [student, teacher] = [tinyClassifier({ seed: 2 }), tinyClassifier({ seed: 1 })];

/** A convolution before `nodes`, of which the outputs are those of the model. */
function headed(seed: string, parts: Pick<TestModel, 'nodes' | 'outputs'> & Partial<TestModel>): Uint8Array {
  return buildModel({
    inputs: [{ name: 'x', dims: ['n', 3, 8, 8] }],
    ...parts,
    nodes: [
      { op: 'Conv', inputs: ['x', 'stem.weight', 'stem.bias'], outputs: ['stem'], attributes: { pads: [1, 1, 1, 1] } },
      ...parts.nodes,
    ],
    initializers: [
      { name: 'stem.weight', dims: [4, 3, 3, 3], data: normal(`${seed} weight`, 108, 0.3) },
      { name: 'stem.bias', dims: [4], data: normal(`${seed} bias`, 4, 0.1) },
      ...(parts.initializers ?? []),
    ],
  });
}

/** Classes of pixels, of which the file gives the largest. */
const segmenter = (seed: string): Uint8Array =>
  headed(seed, {
    nodes: [{ op: 'ArgMax', inputs: ['stem'], outputs: ['map'], attributes: { axis: 1, keepdims: 0 } }],
    outputs: [{ name: 'map', type: 'int64', dims: ['n', 8, 8] }],
  });

/** Boxes and scores, of which the file keeps those that do not overlap. */
const detector = (seed: string): Uint8Array =>
  headed(seed, {
    nodes: [
      { op: 'Reshape', inputs: ['stem', 'boxes.shape'], outputs: ['boxes'] },
      { op: 'Sigmoid', inputs: ['stem'], outputs: ['confident'] },
      { op: 'Reshape', inputs: ['confident', 'scores.shape'], outputs: ['scores'] },
      { op: 'NonMaxSuppression', inputs: ['boxes', 'scores', 'most'], outputs: ['chosen'] },
    ],
    outputs: [{ name: 'chosen', type: 'int64', dims: ['k', 3] }],
    initializers: [
      { name: 'boxes.shape', type: 'int64', dims: [3], data: BigInt64Array.of(0n, 64n, 4n) },
      { name: 'scores.shape', type: 'int64', dims: [3], data: BigInt64Array.of(0n, 4n, 64n) },
      { name: 'most', type: 'int64', dims: [1], data: BigInt64Array.of(3n) },
    ],
  });

/** Vectors of length 1. */
const embedding = (seed: string): Uint8Array =>
  headed(seed, {
    nodes: [
      { op: 'GlobalAveragePool', inputs: ['stem'], outputs: ['pool'] },
      { op: 'Flatten', inputs: ['pool'], outputs: ['flat'] },
      { op: 'LpNormalization', inputs: ['flat'], outputs: ['vector'], attributes: { axis: 1, p: 2 } },
    ],
    outputs: [{ name: 'vector', dims: ['n', 4] }],
  });

const pairs: readonly (readonly [string, Uint8Array, Uint8Array, Partial<MatchSettings>])[] = [
  ['every layer, BatchNormalization frozen', student, teacher, {}],
  ['every layer, BatchNormalization by batches', student, teacher, { batchNorm: 'batch' }],
  ['outputs alone', student, teacher, { match: 'outputs' }],
  ['features', student, teacher, { match: 'features' }],
  ['values by name', student, teacher, { matchTensors: ['block*.add'] }],
  [
    'values by name, convolutions before BatchNormalization among them',
    student,
    teacher,
    { matchTensors: ['block1.*'] },
  ],
  ['labels too', student, teacher, { labelWeight: 0.5 }],
  ['a segmenter', segmenter('student'), segmenter('teacher'), {}],
  ['a detector', detector('student'), detector('teacher'), {}],
  ['an embedding', embedding('student'), embedding('teacher'), {}],
];

describe('a model that is made another', () => {
  it.each(pairs)('has gradients that are those of differences: %s', async (_, own, other, match) => {
    const prepared = prepare(own, other, match);
    await expectRightGradients(driver, prepared);
  });

  it.each(pairs)('is the same in the layout of the CPU: %s', async (_, own, other, match) => {
    const prepared = prepare(own, other, match);
    const [portable, lowered] = [
      await lossOf(driver, prepared),
      await lossOf(driver, prepare(own, other, match), { target: 'cpu' }),
    ];
    const [one, two] = [await portable.at(portable.parameters), await lowered.at(lowered.parameters)];
    expect(two.loss).toBeCloseTo(one.loss, 4);
    expect(two.correct).toBe(one.correct);
    const largest = Math.max(...one.gradient.map(Math.abs));
    one.gradient.forEach((value, i) => expect(Math.abs(two.gradient[i]! - value)).toBeLessThan(1e-3 * largest));
    await portable.close();
    await lowered.close();
  });

  it.each(pairs)('is no different from itself: %s', async (_, __, other, match) => {
    const prepared = prepare(other, other, { ...match, labelWeight: 0, batchNorm: 'frozen' });
    const loss = await lossOf(driver, prepared);
    const { loss: value, gradient, correct } = await loss.at(loss.parameters);
    expect(value).toBeLessThan(1e-5);
    expect(correct).toBe(prepared.goal.classes === null ? 0 : 4);
    expect(Math.max(...gradient.map(Math.abs))).toBeLessThan(1e-3);
    await loss.close();
  });

  it('adds a divergence and relative errors', async () => {
    const all = prepare(student, teacher, { match: 'features', temperature: 1 });
    expect(all.matching.points.map(({ name, weight }) => [name, weight])).toEqual([['block2.relu', 1]]);
    const graph = buildEvalGraph(all, { batch: 2, isBatchOpen: true });
    const { parameters, statistics } = initialState(all, 0, false);
    const session = await driver.createSession(graph.bytes());
    const x = { type: 'float32' as const, dims: [5, 3, 16, 16], data: normal('images', 5 * 3 * 256) };
    const vector = (data: Float32Array) => ({ type: 'float32' as const, dims: [data.length], data });
    const { inputs, outputs } = graph.interface;
    const found = await session.run({
      [inputs.parameters]: vector(parameters),
      [inputs.statistics]: vector(statistics),
      [inputs.images]: x,
    });
    await session.close();
    const read = async (bytes: Uint8Array): Promise<readonly [Float32Array, Float32Array]> => {
      const inner = await driver.createSession(withOutput(bytes, 'block2.relu'));
      const values = await inner.run({ x });
      await inner.close();
      return [values['y']!.data as Float32Array, values['block2.relu']!.data as Float32Array];
    };
    const [[s, own], [t, other]] = [await read(student), await read(teacher)];
    const mean = (values: ArrayLike<number>): number =>
      Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
    const average = mean(other);
    const variance = mean(other.map((value) => (value - average) ** 2));
    const error = mean(other.map((value, i) => (value - own[i]!) ** 2)) / variance;
    const softmax = (row: Float32Array): number[] => {
      const terms = [...row].map(Math.exp);
      const sum = terms.reduce((a, b) => a + b, 0);
      return terms.map((term) => term / sum);
    };
    const divergences = [0, 1, 2, 3, 4].map((image) => {
      const [p, q] = [t, s].map((logits) => softmax(logits.slice(3 * image, 3 * image + 3)));
      return p!.reduce((sum, value, k) => sum + value * Math.log(value / q![k]!), 0);
    });
    expect(Number(found[outputs.loss]!.data[0])).toBeCloseTo(mean(divergences) + error, 4);
  });

  it('keeps the running statistics where they are frozen, and moves them where they are not', async () => {
    for (const batchNorm of ['frozen', 'batch'] as const) {
      const prepared = prepare(student, teacher, { batchNorm });
      expect(prepared.model.graph.nodes.some((node) => node.is('BatchNormalization'))).toBe(batchNorm === 'batch');
      expect(prepared.statistics.length).toBeGreaterThan(0);
    }
  });
});

describe('a teacher that does not fit', () => {
  const fault = (own: Uint8Array, other: Uint8Array, match: Partial<MatchSettings> = {}): string => {
    try {
      prepare(own, other, match);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };

  it.each([
    ['another number of classes', student, tinyClassifier({ classes: 5 }), {}, /tells 3 classes apart, the teacher 5/],
    ['other images', student, segmenter('teacher'), {}, /take other images.*\[3, 16, 16\].*\[3, 8, 8\]/],
    ['other outputs', segmenter('s'), embedding('t'), {}, /outputs of the model are not those of the teacher/],
    ['labels of no classes', segmenter('s'), segmenter('t'), { labelWeight: 1 }, /labels are of classes/],
    ['no such values', student, teacher, { matchTensors: ['nothing*'] }, /no value of both models has such a name/],
  ] as const)('%s', (_, own, other, match, words) => {
    expect(fault(own, other, match)).toMatch(words);
  });
});

/** The model with one of its values as a second output. */
function withOutput(bytes: Uint8Array, name: string): Uint8Array {
  const model = readModel(bytes);
  model.graph.addOutput(model.graph.value(name)!, { dataType: 1, dims: ['n', 8, 8, 8] });
  return modelBytes(model);
}
