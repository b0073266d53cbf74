import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convert } from '../../src/convert/convert.js';
import type { InitName } from '../../src/factorize/types.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { FLOAT } from '../../src/onnx/data-type.js';
import type { ConvertReport } from '../../src/contracts/convert.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { calibration } from '../../src/images/calibrate.js';
import { temporaryFolder } from '../support/command.js';
import { hasShared, modelsFolder, sharedFolder } from '../support/shared.js';

const folder = temporaryFolder();
const images = join(sharedFolder, 'data/images/cifar10/train');
const model = join(modelsFolder, 'st-resnetv1-8-cifar10.onnx');
const settings = { images: 24, normalization: 'unit' };

function converted(name: string, init: InitName, workers: number): Promise<ConvertReport> {
  const calibrate = calibration(images, { ...settings, workers });
  return convert(model, { output: join(folder, name), init, rankScale: 0.3, calibrate, verify: false });
}

/** Relative difference of each Relu's output, and of the model's, from those of the original on the calibration images. */
async function differences(path: string): Promise<readonly number[]> {
  const driver = await loadDriver();
  const names = readModel(model).graph.nodes.flatMap((node) => (node.is('Relu') ? [node.outputs[0]!.name] : []));
  const outputsOf = async (file: string): Promise<Float64Array[]> => {
    const copy = readModel(file);
    for (const name of names) copy.graph.addOutput(copy.graph.value(name)!, { dataType: FLOAT, dims: undefined });
    const session = await driver.createSession(modelBytes(copy));
    const sums: number[][] = [];
    const context = { path: file, driver, session: {}, signal: undefined };
    const source = await calibration(images, { ...settings, workers: 0 })(copy, 1, context);
    try {
      for await (const { feeds } of source.batches()) {
        const results = await session.run(feeds);
        Object.keys(results)
          .sort()
          .forEach((name, index) => (sums[index] ??= []).push(...Array.from(results[name]!.data as Float32Array)));
      }
    } finally {
      await source.close();
      await session.close();
    }
    return sums.map((values) => Float64Array.from(values));
  };
  const [before, after] = [await outputsOf(model), await outputsOf(path)];
  return before.map((values, index) => {
    let [error, scale] = [0, 0];
    values.forEach((value, at) => {
      error += (value - after[index]![at]!) ** 2;
      scale += value * value;
    });
    return Math.sqrt(error / scale);
  });
}

describe.skipIf(!hasShared)('calibration', () => {
  it('gives the same model with any number of decoding threads', async () => {
    const one = await converted('one.onnx', 'whitened', 0);
    const three = await converted('three.onnx', 'whitened', 3);
    expect(three.output.sha256).toBe(one.output.sha256);
  }, 300_000);

  it('in sequence is closer to the original behind the activations than layer by layer', async () => {
    await converted('whitened.onnx', 'whitened', 0);
    await converted('sequence.onnx', 'lfai-data', 0);
    const plain = await differences(join(folder, 'whitened.onnx'));
    const sequence = await differences(join(folder, 'sequence.onnx'));
    expect(plain).toHaveLength(8);
    // Fitted on a part of the positions, measured on all of them.
    sequence.forEach((difference, index) => expect(difference).toBeLessThanOrEqual(1.05 * plain[index]!));
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
    expect(sum(sequence)).toBeLessThan(0.95 * sum(plain));
  }, 600_000);
});
