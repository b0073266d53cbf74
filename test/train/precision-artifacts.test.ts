import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import type { ArtifactsManifest } from '../../src/contracts/artifacts.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { tinyClassifier } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const tiny = join(folder, 'tiny.onnx');
beforeAll(() => writeFileSync(tiny, tinyClassifier()));

function artifacts(precision: string): { readonly path: string; readonly manifest: ArtifactsManifest } {
  const path = join(folder, precision);
  const { code, stderr } = run('artifacts', tiny, '-o', path, '--quiet', '--force', '--precision', precision);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return { path, manifest: JSON.parse(readFileSync(join(path, 'manifest.json'), 'utf8')) as ArtifactsManifest };
}

/** Losses of updates that were done, and the lines of those that were skipped. */
function trained(program: string, example: string, path: string, ...options: string[]) {
  const output = join(folder, 'trained.safetensors');
  const result = spawnSync(program, [example, path, '-o', output, ...options], { encoding: 'utf8' });
  expect(result.stderr).toBe('');
  expect(result.status).toBe(0);
  const lines = result.stdout.split('\n').filter((line) => line.startsWith('step'));
  return {
    losses: lines.filter((line) => line.includes('norm')).map((line) => Number(/loss ([\d.e-]+)/.exec(line)![1])),
    skipped: lines.filter((line) => line.includes('skipped')),
  };
}

const python = [process.env['LOWRANK_PYTHON'], process.env['LOWRANK_ORACLE_PYTHON'], 'python3'].find(
  (program) =>
    program !== undefined && spawnSync(program, ['-c', 'import numpy, onnxruntime'], { stdio: 'ignore' }).status === 0,
);

describe('lowrank-artifacts --precision', () => {
  it('float16: the manifest names the scale, and everything else is as in float32', () => {
    const { path, manifest } = artifacts('float16');
    expect(manifest.settings.precision).toBe('float16');
    expect(manifest.gradient.inputs.scale).toBe('scale');
    const { gradient, ...rest } = artifacts('float32').manifest;
    expect(rest).toEqual({
      ...manifest,
      settings: { ...manifest.settings, precision: 'float32' },
      gradient: undefined,
    });
    const { masks, scale, ...inputs } = manifest.gradient.inputs;
    expect({ ...inputs, masks }).toEqual(gradient.inputs);
    const { graph } = readModel(readFileSync(join(path, 'gradient.onnx')));
    expect(graph.inputs.map(({ name }) => name)).toContain(scale);
  });

  it('bfloat16 takes no scale, and the opset whose convolution knows it', () => {
    const { path, manifest } = artifacts('bfloat16');
    expect(manifest.gradient.inputs).not.toHaveProperty('scale');
    expect(readModel(readFileSync(join(path, 'gradient.onnx'))).opsets.get('')).toBe(22);
  });

  for (const [program, example] of [
    [process.execPath, 'examples/train.mjs'],
    [python, 'examples/train.py'],
  ] as const) {
    it.skipIf(program === undefined)(`${example} drives the float16 graph as it does float32's`, () => {
      const options = ['--steps', '8', '--lr', '0.05'];
      const half = trained(program!, example, artifacts('float16').path, ...options);
      const { losses, skipped } = trained(program!, example, artifacts('float32').path, ...options);
      expect(skipped).toEqual([]);
      expect(losses).toHaveLength(8);
      expect(half.losses.length + half.skipped.length).toBe(8);
      expect(half.losses.length).toBeGreaterThan(4);
      // The roundings of a gradient (precision.test.ts) as a share of the way that the loss goes, which is below 1.
      half.losses.forEach((loss, i) => expect(Math.abs(loss - losses[i]!)).toBeLessThan(20 * 2 ** -11));
      expect(losses.at(-1)).toBeLessThan(losses[0]!);
    });
  }

  it('refuses the fast form for CPUs, in one line', () => {
    const outcome = run('artifacts', tiny, '-o', join(folder, 'no'), '--precision', 'float16', '--target', 'cpu');
    expectFailure(outcome, 'USAGE', /--target cpu is float32 alone, not float16/, 2);
  });
});
