import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { modelBytes } from '../../src/graph/write.js';
import type { Model } from '../../src/graph/model.js';
import { readModel } from '../../src/graph/read.js';
import { Tensor } from '../../src/onnx/tensor.js';
import type { ConvertReport } from '../../src/contracts/convert.js';
import type { EvalReport } from '../../src/contracts/eval.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { hasShared, modelsFolder, sharedFolder } from '../support/shared.js';

const folder = temporaryFolder();
const cifar = join(sharedFolder, 'data/images/cifar10');
const model = join(modelsFolder, 'st-resnetv1-8-cifar10.onnx');

function json(...words: readonly string[]): unknown {
  const { code, stdout, stderr } = run(...words, '--json', '--quiet');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

/** The bytes of everything but the statistics, which are set to one value. */
function withoutStatistics({ graph, ...rest }: Model): Uint8Array {
  for (const node of graph.nodes.filter((each) => each.is('BatchNormalization'))) {
    for (const index of [3, 4]) {
      const value = node.inputs[index]!;
      const { name, dims, size } = value.tensor!;
      graph.setTensor(value, Tensor.ofFloats(name, dims, new Float32Array(size)));
    }
  }
  return modelBytes({ graph, ...rest });
}

describe.skipIf(!hasShared)('lowrank-convert --recalibrate', () => {
  const words = ['convert', model, '--rank-scale', '0.5', '--calibrate', 'none'];
  const unit = ['--normalization', 'unit'];

  it('gets most of the accuracy back, and changes statistics alone', () => {
    const plain = join(folder, 'plain.onnx');
    const output = join(folder, 'recalibrated.onnx');
    const before = json(...words, '-o', plain) as ConvertReport;
    expect(before.recalibration).toBeUndefined();
    const after = json(...words, '-o', output, '--recalibrate', cifar, ...unit) as ConvertReport;
    expect(after.recalibration).toMatchObject({
      data: cifar,
      images: 512,
      batchSize: 64,
      imageSize: 32,
      layers: 7,
      kept: [],
    });
    expect(after.settings).toMatchObject({ recalibrate: cifar, recalibrateImages: 512, batchSize: 64, imageSize: 32 });
    expect(after.verify).toMatchObject({ reloaded: true, samples: 2 });
    expect(after.layers.map(({ rank }) => rank)).toEqual(before.layers.map(({ rank }) => rank));
    const [one, other] = [readModel(plain), readModel(output)];
    expect(Buffer.from(withoutStatistics(other)).equals(withoutStatistics(one))).toBe(true);

    const evaluation = json('eval', output, '--vs', plain, '--data', cifar, ...unit, '--limit', '300') as EvalReport;
    // Measured on all 1000 test images: 71.6 % against 34.3 %.
    expect(evaluation.versus!.ci95[0]).toBeGreaterThan(0.2);
  });

  it('says it in the table', () => {
    const { code, stdout } = run(
      ...words,
      ...[
        '-o',
        join(folder, 'table.onnx'),
        '--recalibrate',
        join(cifar, 'train'),
        '--recalibrate-images',
        '32',
        ...unit,
      ],
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/recalibrated +7 BatchNormalizations, on 32 images of 32x32 from .*cifar10\/train/);
  });

  it('warns where there is nothing to recalibrate, and refuses or says what makes no sense', () => {
    const folded = join(modelsFolder, 'cifar10-resnet8-pt1.12-op13.onnx');
    const output = join(folder, 'folded.onnx');
    const report = json(
      'convert',
      folded,
      '--calibrate',
      'none',
      '-o',
      output,
      '--recalibrate',
      cifar,
    ) as ConvertReport;
    expect(report.warnings).toContainEqual(expect.stringMatching(/nothing was recalibrated: .*no BatchNormalization/));
    const none = join(folder, 'none.onnx');
    expectFailure(run(...words, '-o', none, '--recalibrate', join(folder, 'nowhere')), 'INPUT', /nowhere/);
    expectFailure(
      run(...words, '-o', none, '--recalibrate', cifar, '--image-size', '64'),
      'USAGE',
      /--image-size is 64, and the model takes \[3, 32, 32\]/,
      2,
    );
    expect(existsSync(none)).toBe(false);
    const { code, stderr } = run(...words, '-o', none, ...unit);
    expect(stderr).toMatch(/--normalization does nothing without --calibrate or --recover or --recalibrate or --val/);
    expect(code).toBe(0);
  });
});
