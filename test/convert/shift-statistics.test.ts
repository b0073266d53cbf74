import { cpSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { calibration } from '../../src/images/calibrate.js';
import { convert, type ConvertModelCall } from '../../src/convert/usual-calls.js';
import { syntheticCalibration } from '../../src/images/synthetic.js';
import { temporaryFolder } from '../support/command.js';
import { hasShared, modelPath, sharedFolder } from '../support/shared.js';

const folder = temporaryFolder();

describe.skipIf(!hasShared)('Statistics that move with the pairs', () => {
  // Trained on numbers from 0 to 1, which only its BatchNormalization tells.
  const model = modelPath('st-resnetv1-8-cifar10.onnx');
  const converted = (calibrate: ConvertModelCall['calibrate']) =>
    convert(model, { output: join(folder, 'out.onnx'), force: true, verify: false, calibrate });

  it('see pictures as the layers of the fit did', async () => {
    const { calibration: fit, recalibration } = await converted(syntheticCalibration({ images: 32 }));
    expect(fit).toMatchObject({ normalizationName: 'unit', normalizationFrom: 'batch-normalization', images: 32 });
    expect(recalibration).toMatchObject({
      normalization: fit!.normalization,
      data: 'synthetic',
      images: 32,
      layers: 7,
    });
  }, 120_000);

  it('see no image that was kept out of the fit', async () => {
    const images = join(folder, 'images');
    const source = join(sharedFolder, 'data/images/cifar10/test/cat');
    mkdirSync(images);
    for (const name of readdirSync(source).slice(0, 36)) cpSync(join(source, name), join(images, name));
    const { calibration: fit, recalibration, agreement } = await converted(calibration(images));
    expect([fit!.images, agreement!.images]).toEqual([30, 6]);
    expect(recalibration).toMatchObject({ data: images, images: 30 });
  }, 120_000);
});
