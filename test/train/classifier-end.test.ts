import { join } from 'node:path';
import { existsSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { openClassifier } from '../../src/evaluate/classifier.js';
import { inferShapes } from '../../src/ops/infer.js';
import { endOfModel, hasClasses } from '../../src/passes/classifier-end.js';
import { defaultImageSettings } from '../../src/images/image-settings.js';
import { evaluate } from '../../src/evaluate/evaluate.js';
import { prepareTraining } from '../../src/step/prepare.js';
import { defaultGraphSettings } from '../../src/step/settings.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { buildModel, type TestInitializer, type TestNode } from '../support/models.js';
import { sharedFolder } from '../support/shared.js';
import { expectRightGradients, lossOf, normal } from './support/loss-of.js';

const folder = temporaryFolder();
const driver = await loadDriver();
const classes = 4;

const ints = (name: string, values: readonly number[]): TestInitializer => ({
  name,
  type: 'int64',
  dims: [values.length],
  data: BigInt64Array.from(values, BigInt),
});
const floats = (name: string, values: readonly number[], dims: readonly number[] = []): TestInitializer => ({
  name,
  dims,
  data: Float32Array.from(values),
});
const node = (op: string, inputs: string, output: string, attributes: TestNode['attributes'] = {}): TestNode => ({
  op,
  inputs: inputs.split(' '),
  outputs: [output],
  attributes,
});

/** A classifier whose `z` is [n, 4, 1, 1] and `f` [n, 4]; `end` makes `y` of them. */
function classifier(
  end: readonly TestNode[],
  initializers: readonly TestInitializer[] = [],
  { opset = 18, outputDims = ['n', classes] as readonly (number | string)[] } = {},
): Uint8Array {
  return buildModel({
    opset,
    inputs: [{ name: 'x', dims: ['n', 3, 8, 8] }],
    outputs: [{ name: 'y', dims: outputDims }],
    nodes: [
      node('Conv', 'x w', 'c', { pads: [1, 1, 1, 1], kernel_shape: [3, 3] }),
      node('Relu', 'c', 'r'),
      node('GlobalAveragePool', 'r', 'pooled'),
      node('Conv', 'pooled v b', 'z', { kernel_shape: [1, 1] }),
      node('Flatten', 'z', 'f'),
      ...end,
    ],
    initializers: [
      { name: 'w', dims: [6, 3, 3, 3], data: normal('w', 162, 0.3) },
      { name: 'v', dims: [classes, 6, 1, 1], data: normal('v', 24, 2) },
      { name: 'b', dims: [classes], data: normal('b', 4, 1) },
      ...initializers,
    ],
  });
}

const one = ints('one', [1]);
const spelled = [node('Exp', 'f', 'e'), node('ReduceSum', 'e one', 's', { keepdims: 1 }), node('Div', 'e s', 'y')];

/** Name, end, what its logits are called, initializers, opset. */
type Case = [string, readonly TestNode[], string, (readonly TestInitializer[])?, number?];

/** Ends by softmax. */
const softmaxes: readonly Case[] = [
  ['Softmax', [node('Softmax', 'f', 'y', { axis: 1 })], 'f'],
  ['Softmax on the last axis', [node('Softmax', 'f', 'y', { axis: -1 })], 'f'],
  [
    'Softmax of opset 11 over all axes behind 1',
    [node('Softmax', 'z', 'p', { axis: 1 }), node('Flatten', 'p', 'y')],
    'z',
    [],
    11,
  ],
  ['Softmax, Flatten', [node('Softmax', 'z', 'p', { axis: 1 }), node('Flatten', 'p', 'y')], 'z'],
  [
    'Softmax, Squeeze',
    [node('Softmax', 'z', 'p', { axis: 1 }), node('Squeeze', 'p axes', 'y')],
    'z',
    [ints('axes', [2, 3])],
  ],
  [
    'Softmax, Reshape',
    [node('Softmax', 'z', 'p', { axis: -3 }), node('Reshape', 'p shape', 'y')],
    'z',
    [ints('shape', [-1, 4])],
  ],
  [
    'NHWC',
    [node('Transpose', 'z', 't', { perm: [0, 2, 3, 1] }), node('Softmax', 't', 'p'), node('Flatten', 'p', 'y')],
    't',
  ],
  [
    'Softmax, Dropout, Identity',
    [node('Softmax', 'f', 'p'), node('Dropout', 'p', 'd'), node('Identity', 'd', 'y')],
    'f',
  ],
  [
    'Softmax, Clip, Cast',
    [node('Softmax', 'f', 'p'), node('Clip', 'p low high', 'q'), node('Cast', 'q', 'y', { to: 1 })],
    'f',
    [floats('low', [1e-7]), floats('high', [1])],
  ],
  ['spelled out', spelled, 'f', [one]],
  [
    'spelled out, less the largest',
    [
      node('ReduceMax', 'f one', 'm', { keepdims: 1 }),
      node('Sub', 'f m', 'g'),
      node('Exp', 'g', 'e'),
      node('ReduceSum', 'e one', 's', { keepdims: 1 }),
      node('Div', 'e s', 'y'),
    ],
    'f',
    [one],
  ],
  [
    'spelled out as a product, with the sum unsqueezed',
    [
      node('Exp', 'f', 'e'),
      node('ReduceSum', 'e one', 's', { keepdims: 0 }),
      node('Unsqueeze', 's one', 'u'),
      node('Reciprocal', 'u', 'v1'),
      node('Mul', 'v1 e', 'y'),
    ],
    'f',
    [one],
  ],
  ['Exp of LogSoftmax', [node('LogSoftmax', 'f', 'l'), node('Exp', 'l', 'y')], 'f'],
  ['two in a row: the last alone', [node('Softmax', 'f', 'p'), node('Softmax', 'p', 'y')], 'p'],
];

const logSoftmaxes: readonly Case[] = [
  ['LogSoftmax', [node('LogSoftmax', 'f', 'y')], 'f'],
  ['Log of Softmax', [node('Softmax', 'f', 'p'), node('Log', 'p', 'y')], 'f'],
  [
    'Log of Clip of Softmax',
    [node('Softmax', 'f', 'p'), node('Clip', 'p low', 'q'), node('Log', 'q', 'y')],
    'f',
    [floats('low', [1e-8])],
  ],
  ['Log of one spelled out', [...spelled.slice(0, 2), node('Div', 'e s', 'p'), node('Log', 'p', 'y')], 'f', [one]],
  [
    'z − ReduceLogSumExp',
    [node('ReduceLogSumExp', 'f one', 's', { keepdims: 1 }), node('Sub', 'f s', 'y')],
    'f',
    [one],
  ],
  ['z − Log Σ Exp', [...spelled.slice(0, 2), node('Log', 's', 'l'), node('Sub', 'f l', 'y')], 'f', [one]],
];

const images = normal('images', 4 * 3 * 8 * 8);

/** The loss that evaluation of the file, as it is, finds on the images of `lossOf`. */
async function evaluatedLoss(bytes: Uint8Array): Promise<number> {
  const options = { bytes, driver, session: {}, images: defaultImageSettings };
  const model = await openClassifier('model.onnx', options);
  async function* batches() {
    yield { images, labels: BigInt64Array.of(0n, 1n, 2n, 3n), size: 4, dims: [4, 3, 8, 8] };
  }
  const { losses } = await evaluate(batches(), model.predict, { classes, end: model.end });
  await model.close();
  return Array.from(losses).reduce((sum, loss) => sum + loss, 0) / losses.length;
}

async function trainedLoss(bytes: Uint8Array): Promise<number> {
  const prepared = prepareTraining(bytes, { settings: defaultGraphSettings });
  const loss = await lossOf(driver, prepared);
  const result = await loss.at(loss.parameters);
  await loss.close();
  return result.loss;
}

describe('the end of a classifier', async () => {
  const plain = await trainedLoss(classifier([node('Identity', 'f', 'y')]));

  for (const [kind, cases] of [
    ['softmax', softmaxes],
    ['log-softmax', logSoftmaxes],
  ] as const) {
    it.each(cases)(`${kind}: %s`, async (...[name, end, logits, initializers = [], opset = 18]: Case) => {
      const bytes = classifier(end, initializers, { opset });
      const found = endOfModel(readModel(bytes));
      expect(found).toMatchObject({ kind, warnings: [] });
      expect(found.logits.name).toBe(logits);
      const [trained, evaluated] = [await trainedLoss(bytes), await evaluatedLoss(bytes)];
      // One loss by two sessions and one in float64: roundings of 2⁻²⁴ of numbers below 10.
      expect(trained).toBeCloseTo(evaluated, 5);
      if (!name.startsWith('two')) expect(trained).toBeCloseTo(plain, 5);
    });
  }

  it.each([
    ['over the batch', [node('Softmax', 'f', 'y', { axis: 0 })], []],
    ['over an axis of one', [node('Softmax', 'z', 'p', { axis: 2 }), node('Flatten', 'p', 'y')], []],
    [
      'a quotient by another sum',
      [node('Exp', 'f', 'e'), node('ReduceSum', 'e zero', 's', { keepdims: 1 }), node('Div', 'e s', 'y')],
      [ints('zero', [0])],
    ],
  ])('none: %s', (_, end, initializers) => {
    expect(endOfModel(readModel(classifier(end, initializers)))).toMatchObject({ kind: 'logits' });
  });

  it('a Clip that cuts probabilities, and arithmetic behind them, are told', () => {
    const cut = [node('Softmax', 'f', 'p'), node('Clip', 'p low', 'y')];
    expect(endOfModel(readModel(classifier(cut, [floats('low', [0.05])]))).warnings[0]).toMatch(
      /Clip 'y' cuts the model's outputs to 0.05/,
    );
    const percent = [node('Softmax', 'f', 'p'), node('Mul', 'p hundred', 'y')];
    const end = endOfModel(readModel(classifier(percent, [floats('hundred', [100])])));
    expect(end.kind).toBe('logits');
    expect(end.warnings[0]).toMatch(/computed from probabilities \(Softmax 'p'\) by Mul 'y'/);
  });

  it.each([
    ['Sigmoid', [node('Sigmoid', 'f', 'y')], []],
    ['Sigmoid, Flatten', [node('Sigmoid', 'z', 'p'), node('Flatten', 'p', 'y')], []],
    [
      'spelled out',
      [node('Neg', 'f', 'n1'), node('Exp', 'n1', 'e'), node('Add', 'e unit', 'a'), node('Div', 'unit a', 'y')],
      [floats('unit', [1])],
    ],
  ])('sigmoid: %s: binary cross-entropy of labels that are 0 or 1 for each class', async (_, end, initializers) => {
    const bytes = classifier(end, initializers);
    const prepared = prepareTraining(bytes, { settings: defaultGraphSettings });
    expect(prepared.loss).toBe('binary-cross-entropy');
    const loss = await lossOf(driver, prepared);
    const model = await openClassifier('model.onnx', { bytes, driver, session: {}, images: defaultImageSettings });
    expect(model.end).toBe('sigmoid');
    const probabilities = await model.predict(images, [4, 3, 8, 8]);
    await model.close();
    const expected = probabilities.reduce((sum, p, i) => sum - Math.log(i % 2 === 1 ? p : 1 - p), 0) / 16;
    const result = await loss.at(loss.parameters);
    expect(result.loss).toBeCloseTo(expected, 5);
    const rows = [0, 1, 2, 3].map((row) => probabilities.subarray(4 * row, 4 * row + 4));
    expect(result.correct).toBe(rows.filter((row) => row.indexOf(Math.max(...row)) % 2 === 1).length);
    await loss.close();
    await expectRightGradients(driver, prepared);
  });

  it('artifacts say which labels a loss takes; train refuses one class per image, and --new-head makes a Softmax', () => {
    const model = join(folder, 'sigmoid.onnx');
    writeFileSync(model, classifier([node('Sigmoid', 'f', 'y')]));
    const outcome = run('artifacts', model, '-o', join(folder, 'step'), '--json');
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(JSON.parse(outcome.stdout)).toMatchObject({
      loss: 'binary-cross-entropy',
      labels: { type: 'float32', shape: ['N', 4] },
    });
  });
});

const cases = join(sharedFolder, 'cases', 'softmax-end');

describe('embeddings', () => {
  const forms: readonly [string, boolean, readonly TestNode[], readonly TestInitializer[]][] = [
    ['logits', true, [node('Identity', 'f', 'y')], []],
    ['logits / a temperature', true, [node('Div', 'f t', 'y')], [floats('t', [2])]],
    ['logits / their mean', true, [node('ReduceMean', 'f ax', 'm'), node('Div', 'f m', 'y')], [ints('ax', [1])]],
    ['LpNormalization', false, [node('LpNormalization', 'f', 'y', { axis: 1 })], []],
    [
      'as normalize() of PyTorch is exported',
      false,
      [
        node('ReduceL2', 'f ax', 'norm'),
        node('Clip', 'norm least', 'some'),
        node('Shape', 'f', 'shape'),
        node('Expand', 'some shape', 'all'),
        node('Div', 'f all', 'y'),
      ],
      [ints('ax', [1]), floats('least', [1e-12])],
    ],
    [
      'by hand',
      false,
      [
        node('Mul', 'f f', 'square'),
        node('ReduceSum', 'square ax', 'sum'),
        node('Add', 'sum least', 'some'),
        node('Sqrt', 'some', 'norm'),
        node('Div', 'f norm', 'y'),
      ],
      [ints('ax', [1]), floats('least', [1e-12])],
    ],
  ];

  it.each(forms)('of unit length are no classes: %s', (_, expected, end, initializers) => {
    const model = readModel(classifier(end, initializers));
    expect(hasClasses(model, inferShapes(model, { inputShapes: { x: [2, 3, 8, 8] } }))).toBe(expected);
  });
});

describe.skipIf(!existsSync(cases))('one classifier, its softmax written in several ways', () => {
  const photos = join(cases, 'photos');
  const settings = ['--data', photos, '--normalization', 'symmetric'];

  it.each(['softmax', 'softmax-flatten', 'softmax-reshape', 'spelled', 'softmax-dropout', 'logits'])('%s', (name) => {
    const model = join(cases, `${name}.onnx`);
    const trained = run(
      'train',
      model,
      '-o',
      join(folder, `${name}.onnx`),
      ...settings,
      '--epochs',
      '1',
      '--lr',
      '1e-9',
      '--batch-size',
      '8',
      '--json',
      '--quiet',
    );
    expect(trained.code, trained.stderr).toBe(0);
    const evaluated = run('eval', model, ...settings, '--json', '--quiet');
    const report = JSON.parse(trained.stdout) as { epochs: { val: { loss: number } }[] };
    expect(JSON.stringify(report.epochs[0])).toContain('3.28');
    expect((JSON.parse(evaluated.stdout) as { loss: number }).loss).toBeCloseTo(3.2897, 3);
  });

  it('sigmoid', () => {
    const model = join(cases, 'sigmoid.onnx');
    const output = join(folder, 'sigmoid-out.onnx');
    expectFailure(
      run('train', model, '-o', output, ...settings, '--quiet'),
      'UNSUPPORTED',
      /ends in a Sigmoid.*--new-head/,
    );
    const trained = run(
      'train',
      model,
      '-o',
      output,
      ...settings,
      '--new-head',
      '--epochs',
      '1',
      '--batch-size',
      '8',
      '--quiet',
    );
    expect(trained.code, trained.stderr).toBe(0);
    expect(endOfModel(readModel(output)).kind).toBe('softmax');
  });
});
