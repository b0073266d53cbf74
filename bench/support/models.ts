import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { sharedFolder } from './bench.js';

/** The folder of models that are not part of the project. */
export const modelsFolder = join(sharedFolder, 'data/models');

/** Exports of torchvision and timm at full size; their weights are made up. */
const exports = [
  'exports/torchscript/resnet18.onnx',
  'exports/torchscript-bn/resnet50.onnx',
  'exports/torchscript-bn/efficientnet_b0.onnx',
  'exports/dynamo/timm_efficientnet_b0.onnx',
];

/** Paths in `modelsFolder`: every real model, then a few exports. */
export function modelPaths(): string[] {
  const real = readdirSync(modelsFolder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.onnx') && !/^(?:exports|refuse)\//.test(path))
    .sort();
  return [...real, ...exports.filter((path) => existsSync(join(modelsFolder, path)))];
}

/** Paths in `modelsFolder` of files that no conversion can be made of. */
export function refusedPaths(): string[] {
  return readdirSync(join(modelsFolder, 'refuse'))
    .filter((name) => name.endsWith('.onnx'))
    .map((name) => `refuse/${name}`)
    .sort();
}
