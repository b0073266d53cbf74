import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { opsetOf } from '../../src/graph/model.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes, writeModel } from '../../src/graph/write.js';
import { raiseOpset } from '../../src/passes/raise-opset.js';
import { runPasses } from '../../src/passes/runner.js';
import { hasShared, modelPath, sharedModels } from '../support/shared.js';
import { feedsOf, outputsOf, relativeDifference } from './support/raised.js';

/** Not to be converted, but valid models. */
const quantized = ['refuse/cifar10-resnet8-qdq-op13.onnx', 'refuse/imagenet-mobilenetv2-qlinear-op12.onnx'];

const older = [...sharedModels(), ...(hasShared ? quantized : [])].filter((name) => {
  const model = readModel(modelPath(name));
  model.file?.close();
  return opsetOf(model) < 17;
});

describe.skipIf(!hasShared)('real models raised to opset 17', () => {
  it('are many', () => {
    expect(older.length).toBeGreaterThanOrEqual(12);
  });

  // The kernels and the order of operations are the same before and after: every bit must be.
  it.each(older)('%s computes the same, bit by bit', async (name) => {
    const folder = mkdtempSync(join(tmpdir(), 'raise-'));
    const model = readModel(modelPath(name));
    try {
      const feeds = feedsOf(model);
      // IR 3 lists initializers among the inputs; later a model that does so lets callers override them.
      const isAsked = model.irVersion < 4 ? 'not initializers' : 'all';
      const inputs = model.graph.inputs
        .filter(({ tensor }) => isAsked === 'all' || tensor === undefined)
        .map((value) => value.name);
      runPasses(model, [raiseOpset()]);
      expect([opsetOf(model), model.irVersion]).toEqual([17, 8]);
      expect(model.graph.inputs.map((value) => value.name)).toEqual(inputs);
      const { path } = writeModel(model, join(folder, 'raised.onnx'));
      const [expected, actual] = [await outputsOf(modelPath(name), feeds), await outputsOf(path, feeds)];
      expect(relativeDifference(actual, expected)).toBe(0);
    } finally {
      model.file?.close();
      rmSync(folder, { recursive: true });
    }
  });

  it.each(sharedModels().filter((name) => !older.includes(name)))('%s stays as it is', (name) => {
    const model = readModel(modelPath(name));
    try {
      const before = modelBytes(model);
      const report = runPasses(model, [raiseOpset()]);
      expect(report.passes[0]!.changes).toBe(0);
      expect(Buffer.from(modelBytes(model)).equals(before)).toBe(true);
    } finally {
      model.file?.close();
    }
  });
});
