import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import type { Model } from '../../src/graph/model.js';
import { recordImageFacts } from '../../src/graph/image-facts.js';
import { recordPreparation } from '../../src/images/record-preparation.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { preparationText } from '../../src/report/preparation-text.js';
import { imageHints } from '../../src/images/image-metadata.js';
import { defaultImageSettings, type ImageSettings } from '../../src/images/image-settings.js';
import { inForce, type ImagePreparation, prepareImages } from '../../src/images/preparation.js';
import { failureOf } from '../support/errors.js';
import { buildModel } from '../support/models.js';
import { tinyClassifier } from '../support/tiny-classifier.js';

const driver = await loadDriver();

function prepare(
  model: Model,
  metadata: Readonly<Record<string, string>> = {},
  settings: Partial<ImageSettings> = {},
): Promise<ImagePreparation> {
  for (const [key, value] of Object.entries(metadata)) model.metadata.set(key, value);
  const context = { path: 'model.onnx', driver, session: {}, signal: undefined };
  return prepareImages(model, { ...defaultImageSettings, ...settings }, context);
}

const fixed = (): Model => readModel(tinyClassifier());

/** Takes images of any side. */
const open = (): Model =>
  readModel(
    buildModel({
      inputs: [{ name: 'x', dims: ['n', 3, 'h', 'w'] }],
      outputs: [{ name: 'y', dims: ['n', 3, 1, 1] }],
      nodes: [{ op: 'GlobalAveragePool', inputs: ['x'], outputs: ['y'] }],
    }),
  );

const timm = { mean: '[0.5, 0.5, 0.5]', std: '[0.5, 0.5, 0.5]', input_size: '[3, 200, 200]', crop_pct: '0.8' };

describe('how images become inputs', () => {
  it('is assumed where nobody says it, and said to be', async () => {
    const { report, transform } = await prepare(open());
    expect(report).toMatchObject({
      normalization: { name: 'imagenet', from: 'assumed' },
      size: { width: 224, height: 224, from: 'assumed' },
      resize: { rule: 'center-crop', shorterSide: 256, interpolation: 'bilinear', from: 'assumed' },
    });
    expect(transform).toEqual({ kind: 'center-crop', width: 224, height: 224, resize: 256 });
    expect(preparationText(report)).toMatch(/imagenet \(only assumed.*--normalization.*224x224 \(only assumed/);
  });

  it('is what the metadata say, and what the user says goes before', async () => {
    const told = await prepare(open(), timm);
    expect(told.report).toMatchObject({
      normalization: { name: 'symmetric', from: 'metadata' },
      size: { width: 200, from: 'metadata' },
      resize: { shorterSide: 250, from: 'metadata' },
    });
    const given = { imageSize: 100, resize: 120, interpolation: 'bicubic', normalization: 'unit' } as const;
    const chosen = await prepare(open(), timm, given);
    expect(chosen.report).toMatchObject({
      normalization: { name: 'unit', from: 'option' },
      size: { width: 100, from: 'option' },
      resize: { shorterSide: 120, interpolation: 'bicubic', from: 'option' },
    });
    expect(preparationText(chosen.report)).toBe(
      'normalization unit (as given); 100x100 (as given); shorter side to 120, then the center, bicubic (as given)',
    );
    const numbers = await prepare(open(), timm, { mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6] });
    expect(numbers.report.normalization).toEqual({
      ...{ name: null, from: 'option' },
      ...{ mean: [0.1, 0.2, 0.3], deviation: [0.4, 0.5, 0.6] },
    });
  });

  it('keeps the size of an input that has one, and the share of the image that is seen', async () => {
    const { report } = await prepare(fixed(), { ...timm, crop_pct: '0.5' });
    expect(report.size).toEqual({ width: 16, height: 16, from: 'graph' });
    expect(report.resize.shorterSide).toBe(32);
    const own = { 'lowrank.image_size': '224', 'lowrank.resize': '256' };
    expect((await prepare(open(), own, { imageSize: 112 })).report.resize.shorterSide).toBe(128);
    expect((await prepare(open(), own)).report.resize.shorterSide).toBe(256);
  });

  it('stretches where the model says so, unless it is told not to', async () => {
    const own = { 'lowrank.resize': 'stretch' };
    const stretched = await prepare(open(), own);
    expect(stretched.transform.kind).toBe('stretch');
    expect(stretched.report.resize).toMatchObject({ rule: 'stretch', shorterSide: null, from: 'metadata' });
    for (const settings of [{ stretch: false }, { resize: 256 }]) {
      const { report } = await prepare(open(), own, settings);
      expect(report.resize).toMatchObject({ rule: 'center-crop', shorterSide: 256, from: 'option' });
    }
    const both = { ...defaultImageSettings, stretch: true, resize: 9 };
    const { checkImageSettings } = await import('../../src/images/image-settings.js');
    await failureOf('USAGE', () => Promise.resolve(checkImageSettings(both)));
  });

  it('is the same again from what is recorded of it, but what was only assumed', async () => {
    const first = await prepare(open(), timm, { interpolation: 'bicubic' });
    const model = open();
    recordPreparation(model, first.report);
    expect([...model.metadata]).toEqual([
      ['lowrank.normalization', 'symmetric'],
      ['lowrank.image_size', '200'],
      ['lowrank.resize', '250'],
      ['lowrank.interpolation', 'bicubic'],
    ]);
    const again = await prepare(model);
    expect(again.transform).toEqual(first.transform);
    expect(again.normalization).toEqual(first.normalization);
    const assumed = open();
    recordPreparation(assumed, (await prepare(open())).report);
    expect(assumed.metadata.size).toBe(0);
  });

  it('remembers what BatchNormalization told as such', async () => {
    const model = open();
    const { report } = await prepare(open(), {}, { normalization: 'unit' });
    recordPreparation(model, { ...report, normalization: { ...report.normalization, from: 'batch-normalization' } });
    expect(model.metadata.get('lowrank.normalization_from')).toBe('batch-normalization');
    expect((await prepare(model)).report.normalization).toMatchObject({ name: 'unit', from: 'batch-normalization' });
    // Somebody says it.
    recordPreparation(model, report);
    expect((await prepare(model)).report.normalization).toMatchObject({ name: 'unit', from: 'metadata' });
  });

  it('stands in settings that repeat it', async () => {
    const { report } = await prepare(open(), { ...timm, mean: '[0.1, 0.2, 0.3]' });
    expect(inForce(defaultImageSettings, report)).toEqual({
      ...{ imageSize: 200, resize: 250, stretch: false, interpolation: 'bilinear' },
      ...{ normalization: null, mean: [0.1, 0.2, 0.3], std: [0.5, 0.5, 0.5] },
    });
  });
});

describe('what a model is told of its images', () => {
  it('is read as it was written, with names for people', () => {
    const model = open();
    const classes = { ids: ['n01', 'bee'], titles: ['ant, of wood', 'bee'] };
    // Numbers of other programs beyond 2 are taken for bytes: ours never are.
    const normalization = { mean: [0, 0.1, 0.2], deviation: [1, 2, 3] };
    recordImageFacts(model, { normalization, classes });
    expect(imageHints(model.metadata)).toMatchObject({ normalization, classes });
  });
});
