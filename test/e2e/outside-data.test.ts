import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, it, expect } from 'vitest';
import { run, temporaryFolder } from '../support/command.js';
import { buildModel } from '../support/models.js';
import { writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const photos = join(folder, 'photos');
const place = join(folder, 'models');

/** A classifier whose weight is the content of a file that is none of its business. */
function modelAt(name: string, location: string): string {
  const path = join(place, name);
  const nodes = [
    { op: 'GlobalAveragePool', inputs: ['x'], outputs: ['pool'] },
    { op: 'Flatten', inputs: ['pool'], outputs: ['flat'] },
    { op: 'Gemm', inputs: ['flat', 'w'], outputs: ['y'], name: 'fc' },
  ];
  const initializers = [{ name: 'w', dims: [3, 3], data: { location, length: 36 } }];
  const inputs = [{ name: 'x', dims: ['n', 3, 16, 16] }];
  writeFileSync(path, buildModel({ inputs, outputs: [{ name: 'y', dims: ['n', 3] }], nodes, initializers }));
  return path;
}

let models: readonly string[];

beforeAll(async () => {
  mkdirSync(place);
  await writeTextures(photos, 4, 1);
  writeFileSync(join(folder, 'secret.bin'), Buffer.alloc(36, 1));
  symlinkSync(join(folder, 'secret.bin'), join(place, 'link.bin'));
  symlinkSync(folder, join(place, 'up'));
  models = [
    modelAt('above.onnx', '../secret.bin'),
    modelAt('absolute.onnx', join(folder, 'secret.bin')),
    modelAt('linked.onnx', 'link.bin'),
    modelAt('through.onnx', 'up/secret.bin'),
  ];
});

const commands: readonly (readonly [string, (model: string) => readonly string[]])[] = [
  ['inspect', (model) => [model]],
  ['convert', (model) => [model, '-o', join(place, 'out.onnx'), '--no-verify']],
  ['compare', (model) => [model, '--inits', 'spectral']],
  ['merge', (model) => [model, '-o', join(place, 'out.onnx')]],
  ['train', (model) => [model, '--data', photos, '-o', join(place, 'out.onnx'), '--batch-size', '2', '--epochs', '1']],
  ['artifacts', (model) => [model, '-o', join(place, 'out')]],
  ['eval', (model) => [model, '--data', photos]],
];

describe('data outside of the folder of a model', () => {
  it.each(commands)('%s: is not read, however it is named, and nothing is written', (command, words) => {
    const before = readdirSync(place);
    // The ways to name it differ in one place, that all commands have; one by one they take long.
    for (const model of command === 'inspect' || command === 'eval' ? models : models.slice(-1)) {
      const { code, stderr, stdout } = run(command, ...words(model), '--quiet');
      expect(stderr, model).toMatch(/^error\[\w+\]: .*(outside|escape)/i);
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    }
    expect(readdirSync(place)).toEqual(before);
  });
});
