import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import { dataTypeName } from '../../src/onnx/data-type.js';
import { inferShapes } from '../../src/ops/infer.js';
import { hasShared, modelPath, sharedModels } from '../support/shared.js';
import { exposeAll, feedOf, runModel } from './support/build.js';

const quantized = [
  'refuse/cifar10-resnet8-qdq-op13.onnx',
  'refuse/cifar10-tinycnn-qlinear-op18.onnx',
  'refuse/imagenet-mobilenetv2-qlinear-op12.onnx',
];

describe.skipIf(!hasShared)('shapes of real models', () => {
  it.each([...sharedModels(), ...quantized])('%s: every value is what onnxruntime makes of it', async (name) => {
    const model = readModel(modelPath(name));
    try {
      const table = inferShapes(model);
      expect(table.unknown.map(({ node, reason }) => `${node.label}: ${reason}`)).toEqual([]);
      const feeds = Object.fromEntries([...table.inputs.types].map(([value, type]) => [value.name, feedOf(type)]));
      const values = exposeAll(model.graph);
      const results = await runModel(model, feeds);
      const describeAll = (describe: (name: string) => string): string[] => values.map((value) => describe(value.name));
      const inferred = values.map((value) => {
        const type = table.typeOf(value)!;
        return `${value.name}: ${dataTypeName(type.dataType)} [${type.dims.join(', ')}]`;
      });
      const actual = describeAll((key) => `${key}: ${results[key]!.type} [${results[key]!.dims.join(', ')}]`);
      expect(inferred).toEqual(actual);
    } finally {
      model.file?.close();
    }
  });
});
