import { describe, expect, it } from 'vitest';
import { NORMALIZATIONS } from '../../src/data/normalize.js';
import { readModel } from '../../src/graph/read.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { distances, findNormalization, type FoundNormalization } from '../../src/images/find-normalization.js';
import { inputsOf, imageInputOf } from '../../src/images/image-input.js';
import { imageHints } from '../../src/images/image-metadata.js';
import { buildModel, type TestInitializer, type TestNode, type TestType } from '../support/models.js';
import { hasShared, modelPath } from '../support/shared.js';
import { tinyClassifier } from '../support/tiny-classifier.js';

const driver = await loadDriver();
const context = { driver, session: {}, signal: undefined };

function find(
  source: string | Uint8Array,
  metadata: Readonly<Record<string, string>> = {},
): Promise<FoundNormalization> {
  const model = readModel(source);
  for (const [key, value] of Object.entries(metadata)) model.metadata.set(key, value);
  return findNormalization(model, imageInputOf({ inputs: inputsOf(model) }, 'model.onnx', null), context);
}

/** A model that begins with these operators on constants: `[op, values, dims]`, with `x` on the left. */
function beginning(
  steps: readonly (readonly [op: string, values: readonly number[], dims: readonly number[]])[],
  type: TestType = 'float32',
): Uint8Array {
  const initializers: TestInitializer[] = [
    { name: 'w', dims: [2, 3, 3, 3], data: new Float32Array(54).map((_, i) => Math.sin(i)) },
  ];
  const nodes: TestNode[] = [];
  let value = 'x';
  const next = (op: string, inputs: readonly string[], attributes: TestNode['attributes'] = {}): void => {
    nodes.push({ op, inputs: [value, ...inputs], outputs: [`v${nodes.length}`], attributes });
    value = `v${nodes.length - 1}`;
  };
  if (type !== 'float32') next('Cast', [], { to: 1 });
  steps.forEach(([op, values, dims], index) => {
    initializers.push({ name: `c${index}`, dims, data: Float32Array.from(values) });
    next(op, [`c${index}`]);
  });
  next('Conv', ['w']);
  return buildModel({
    inputs: [{ name: 'x', type, dims: ['n', 3, 16, 16] }],
    outputs: [{ name: value, dims: ['n', 2, 14, 14] }],
    nodes,
    initializers,
  });
}

describe('what the metadata say', () => {
  const { imagenet, cifar10, unit } = NORMALIZATIONS;
  it.each([
    [{ 'lowrank.normalization': 'cifar10', 'lowrank.image_size': '96' }, cifar10, 96],
    [{ 'lowrank.normalization': '{"mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]}' }, imagenet, undefined],
    [{ mean: '(0.485, 0.456, 0.406)', std: '(0.229, 0.224, 0.225)', input_size: '(3, 288, 288)' }, imagenet, 288],
    [{ mean: '0.485,0.456,0.406', std: '0.229,0.224,0.225' }, imagenet, undefined],
    [{ mean: '[123.675, 116.28, 103.53]', std: '[58.395, 57.12, 57.375]' }, imagenet, undefined],
    [
      { pretrained_cfg: '{"input_size":[3,160,160],"mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]}' },
      imagenet,
      160,
    ],
    [{ config: '{"image_mean":[0,0,0],"image_std":[1,1,1],"size":{"height":192,"width":192}}' }, unit, 192],
    [{ imgsz: '[640, 640]', stride: '32', author: 'Ultralytics' }, unit, 640],
    [
      { mean: '[0.485, 0.456]', std: 'many', input_size: '(3, -1, 0)', notes: '{"mean": "broken"' },
      undefined,
      undefined,
    ],
    [{ mean: '[0, 0, 0]', std: '[0, 1, 1]' }, undefined, undefined],
    [{}, undefined, undefined],
  ])('%j', (metadata, normalization, imageSize) => {
    const hints = imageHints(new Map(Object.entries(metadata)));
    expect(hints.imageSize).toBe(imageSize);
    if (normalization === undefined) {
      expect(hints.normalization).toBeUndefined();
      return;
    }
    hints.normalization!.mean.forEach((value, c) => expect(value).toBeCloseTo(normalization.mean[c]!, 9));
    hints.normalization!.deviation.forEach((value, c) => expect(value).toBeCloseTo(normalization.deviation[c]!, 9));
  });

  it.each<[Readonly<Record<string, string>>, Partial<Pick<ReturnType<typeof imageHints>, 'resize' | 'interpolation'>>]>(
    [
      [
        { 'lowrank.resize': '240', 'lowrank.image_size': '224', 'lowrank.interpolation': 'bicubic' },
        { resize: { kind: 'center-crop', pixels: 240, side: 224 }, interpolation: 'bicubic' },
      ],
      [{ 'lowrank.resize': 'stretch' }, { resize: { kind: 'stretch' } }],
      [
        { crop_pct: '0.95', interpolation: 'bicubic', crop_mode: 'center' },
        { resize: { kind: 'center-crop', share: 0.95 }, interpolation: 'bicubic' },
      ],
      [
        { config: '{"pretrained_cfg": {"crop_pct": 1.0, "crop_mode": "squash", "interpolation": "bilinear"}}' },
        { resize: { kind: 'stretch' }, interpolation: 'bilinear' },
      ],
      [{ crop_pct: '0.9', crop_mode: 'border' }, {}],
      [{ imgsz: '[224, 224]', stride: '1', task: 'classify' }, { resize: { kind: 'center-crop', share: 1 } }],
      [
        { preprocessor: '{"crop_size": {"height": 224, "width": 224}, "size": {"shortest_edge": 256}, "resample": 3}' },
        { resize: { kind: 'center-crop', pixels: 256, side: 224 }, interpolation: 'bicubic' },
      ],
      [
        {
          preprocessor:
            '{"image_mean": [0.5], "image_std": [0.5], "size": {"height": 224, "width": 224}, "resample": 2}',
        },
        { resize: { kind: 'stretch' }, interpolation: 'bilinear' },
      ],
      [{ 'lowrank.resize': 'much', interpolation: 'lanczos' }, {}],
    ],
  )('how images are resized: %j', (metadata, { resize, interpolation }) => {
    const hints = imageHints(new Map(Object.entries(metadata)));
    expect(hints.resize).toEqual(resize);
    expect(hints.interpolation).toBe(interpolation);
  });

  it.each<[Readonly<Record<string, string>>, readonly string[] | undefined, readonly string[] | undefined]>([
    [{ 'lowrank.classes': '["ant", ["n01", "bee, of honey"]]' }, ['ant', 'n01'], ['ant', 'bee, of honey']],
    [{ names: `{0: 'ant', 1: "bee's"}` }, ['ant', "bee's"], ['ant', "bee's"]],
    [{ names: `['ant', 'bee']`, 'lowrank.classes': '["bee", "ant"]' }, ['bee', 'ant'], ['bee', 'ant']],
    [
      { config: '{"label_names": ["n01", "n02"], "label_descriptions": {"n01": "ant", "n02": "bee"}}' },
      ['n01', 'n02'],
      ['ant', 'bee'],
    ],
    [{ config: '{"id2label": {"0": "ant", "1": "bee"}}' }, ['ant', 'bee'], ['ant', 'bee']],
    [{ names: `{0: 'ant', 2: 'bee'}` }, undefined, undefined],
    [{ names: `['ant', 'ant']` }, undefined, undefined],
    [{ names: 'ant', classes: '1000' }, undefined, undefined],
  ])('what the classes are: %j', (metadata, ids, titles) => {
    const { classes } = imageHints(new Map(Object.entries(metadata)));
    expect([classes?.ids, classes?.titles]).toEqual([ids, titles]);
  });

  it('of texts that nobody would write, in time that their length tells', () => {
    for (const text of ['('.repeat(1e5), `'${'\\'.repeat(1e5)}`, `{0: ${'['.repeat(1e5)}`, `${'1,'.repeat(1e5)}x`]) {
      const started = performance.now();
      expect(imageHints(new Map([['names', text]])).classes).toBeUndefined();
      expect(performance.now() - started).toBeLessThan(1000);
    }
  });

  it('go before what the graph says', async () => {
    const model = beginning([['Div', [255], []]]);
    expect(await find(model, { 'lowrank.normalization': 'symmetric' })).toMatchObject({
      name: 'symmetric',
      from: 'metadata',
    });
    expect(await find(beginning([]), { mean: '[0.1, 0.2, 0.3]', std: '[1, 1, 1]' })).toMatchObject({
      normalization: { mean: [0.1, 0.2, 0.3], deviation: [1, 1, 1] },
      name: null,
      from: 'metadata',
    });
  });
});

describe('what the graph says', () => {
  const mean = [0.485, 0.456, 0.406];
  const std = [0.229, 0.224, 0.225];
  it.each([
    ['none', [['Div', [255], []]]],
    [
      'none',
      [
        ['Mul', [1 / 255], [1]],
        ['Sub', mean, [1, 3, 1, 1]],
        ['Div', std, [3, 1, 1]],
      ],
    ],
    ['none', [['Sub', mean.map((value) => 255 * value), [3, 1, 1]]]],
    ['none', [['Add', [-103.9, -116.8, -123.7], [1, 3, 1, 1]]]],
    [
      'none',
      [
        ['Mul', [2 / 255], []],
        ['Sub', [1], []],
      ],
    ],
    [
      'unit',
      [
        ['Sub', mean, [3, 1, 1]],
        ['Div', std, [3, 1, 1]],
      ],
    ],
    [
      'unit',
      [
        ['Mul', [2], []],
        ['Sub', [1], []],
      ],
    ],
    [
      'unit',
      [
        ['Mul', [255], []],
        ['Sub', [120, 117, 104], [3, 1, 1]],
      ],
    ],
  ] as const)('%s: %j', async (name, steps) => {
    expect(await find(beginning(steps))).toMatchObject({ name, from: 'graph' });
  });

  it('takes bytes for what they are', async () => {
    expect(await find(beginning([], 'uint8'))).toMatchObject({ name: 'none', from: 'graph' });
  });

  it('is nothing where it begins with a convolution, and ImageNet is assumed', async () => {
    expect(await find(beginning([]))).toMatchObject({ name: 'imagenet', from: 'assumed' });
  });
});

describe('what BatchNormalization says', () => {
  it('is nothing where it was not trained', async () => {
    expect(await find(tinyClassifier())).toMatchObject({ name: 'imagenet', from: 'assumed' });
  });
});

describe.skipIf(!hasShared)('of real models', () => {
  it.each([
    ['cifar10-resnet20-pt1.6-op9-bn', 'imagenet or cifar10', 2],
    ['cifar10-vit-pgd-pt2.0-op9', 'imagenet or cifar10', 2],
    ['resnet50v2-stages1to3-imagenette10', 'imagenet or cifar10', 1.5],
    ['st-efficientnet-lc-flowers5', 'unit', 1.5],
    ['st-resnetv1-8-cifar10', 'unit', 2],
  ])(
    'BatchNormalization of %s was trained on %s',
    async (name, expected, clear) => {
      const model = readModel(modelPath(`${name}.onnx`));
      const input = imageInputOf({ inputs: inputsOf(model) }, name, null);
      const found = await findNormalization(model, input, context);
      expect(found.from).toBe('batch-normalization');
      expect(expected.split(' or ')).toContain(found.name);
      const [best, next] = await distances(model, input, context);
      expect(next!.distance / best!.distance).toBeGreaterThan(clear);
    },
    120_000,
  );

  it.each([
    ['cifar100sub3-resnet20-pt1.13-op9-nhwcprep', 'none', 'graph'],
    ['mobilenetv2-imagenet-fp32-int8fc', 'imagenet', 'assumed'],
    ['reid-seresnet-pt2.11-op18/best_model', 'imagenet', 'assumed'],
  ])('%s: %s, %s', async (name, normalization, from) => {
    expect(await find(modelPath(`${name}.onnx`))).toMatchObject({ name: normalization, from });
  });
});
