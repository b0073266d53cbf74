import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { randomFloats } from '../../../src/rewrite/samples.js';
import { loadDriver } from '../../../src/runtime/driver.js';
import { buildModel, type TestModel } from '../../support/models.js';
import { seed } from './layers.js';

/** A folder that goes when the tests of the file are done. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lowrank-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes a model into the folder under a name of its own. */
export function modelWriter(folder: string): (model: TestModel | Uint8Array) => string {
  let count = 0;
  return (model) => {
    const path = join(folder, `model-${++count}.onnx`);
    writeFileSync(path, model instanceof Uint8Array ? model : buildModel(model));
    return path;
  };
}

/** The output `y` of a model for a random `x`. */
export async function run(model: string | Uint8Array, inputDims: readonly number[]): Promise<Float32Array> {
  const driver = await loadDriver();
  const session = await driver.createSession(model);
  try {
    const count = inputDims.reduce((product, dim) => product * dim, 1);
    const x = { type: 'float32', dims: inputDims, data: randomFloats(count, seed, 'x') } as const;
    return (await session.run({ x }))['y']!.data as Float32Array;
  } finally {
    await session.close();
  }
}

/** max |a − b| / max |b|. */
export function relativeDifference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Infinity;
  const largest = b.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const difference = b.reduce((most, value, i) => Math.max(most, Math.abs(value - a[i]!)), 0);
  return largest === 0 ? difference : difference / largest;
}
