import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { ConvertReport } from '../../src/contracts/convert.js';
import { expectFailure, type Outcome, root, run, temporaryFolder } from '../support/command.js';

// The copy below is some thousand files, which are removed in the end.
vi.setConfig({ hookTimeout: 60_000, testTimeout: 60_000 });

const folder = temporaryFolder();
const model = join(folder, 'lenet5.onnx');
expect(run('create', 'lenet5', '-o', model).code).toBe(0);

/** A copy of the program whose node_modules are ours without TensorFlow.js. */
const copy = join(folder, 'copy');
for (const part of ['bin', 'dist/src', 'dist/models', 'dist/package.json', 'package.json']) {
  cpSync(join(root, part), join(copy, part), { recursive: true, filter: (path) => !/\.(map|d\.ts)$/.test(path) });
}
mkdirSync(join(copy, 'node_modules'));
for (const entry of readdirSync(join(root, 'node_modules'))) {
  if (entry !== '@tensorflow') symlinkSync(join(root, 'node_modules', entry), join(copy, 'node_modules', entry));
}

/** The copy with these packages of TensorFlow.js alone: ours, or such as consist of the source that is given. */
function copyWith(packages: Readonly<Record<string, string | undefined>> = {}): string {
  rmSync(join(copy, 'node_modules/@tensorflow'), { recursive: true, force: true });
  for (const [name, source] of Object.entries(packages)) {
    const path = join(copy, 'node_modules', name);
    mkdirSync(join(path, '..'), { recursive: true });
    if (source === undefined) {
      symlinkSync(join(root, 'node_modules', name), path);
      continue;
    }
    mkdirSync(path);
    writeFileSync(join(path, 'package.json'), JSON.stringify({ name, version: '4.22.0', main: 'index.js' }));
    writeFileSync(join(path, 'index.js'), source);
  }
  return copy;
}

function convertIn(place: string, words: readonly string[], environment: Record<string, string> = {}): Outcome {
  const output = join(place, 'out.onnx');
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(place, 'bin/lowrank.js'), 'convert', model, '-o', output, '--force', ...words],
    { encoding: 'utf8', env: { ...process.env, LOWRANK_DEBUG: '', LOWRANK_TFJS: '', ...environment } },
  );
  return { code: status, stdout, stderr };
}

/** Nothing that pictures could add a warning to. */
const weights = ['--calibrate', 'none'];

/** What the native packages throw where their library was never fetched; with words on the console before it. */
const broken = `
  console.log('banner on stdout');
  console.warn('advice on stderr');
  throw new Error("The Node.js native addon module (tfjs_binding.node) can not be found at path: /x. \\nPlease run command 'npm rebuild'");
`;

describe('convert --engine', () => {
  it('tfjs: one JSON document on stdout, nothing on stderr when quiet, the package named, the errors those of ort', () => {
    const reports = ['ort', 'tfjs'].map((engine) => {
      const words = ['--engine', engine, ...weights, '--json', '--quiet', '--rank-scale', '0.3', '--seed', '3'];
      const { code, stdout, stderr } = convertIn(root, words.concat('-o', join(folder, `${engine}.onnx`)));
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      return JSON.parse(stdout) as ConvertReport;
    });
    const [ours, theirs] = reports as [ConvertReport, ConvertReport];
    expect(ours.engine).toMatchObject({ name: 'ort', package: 'onnxruntime-node', device: 'cpu' });
    expect(theirs.engine).toEqual({
      name: 'tfjs',
      package: '@tensorflow/tfjs-backend-wasm',
      version: '4.22.0',
      backend: 'wasm',
      device: 'cpu',
    });
    expect(theirs.settings['engine']).toBe('tfjs');
    expect(theirs.warnings).toEqual([]);
    for (const [i, layer] of ours.layers.entries()) {
      const other = theirs.layers[i]!;
      expect([other.action, other.scheme, other.rank]).toEqual([layer.action, layer.scheme, layer.rank]);
      if (layer.functionError === null) continue;
      // Both end within ten times the minimizer's tolerance, 1e-5 of the squared error: half of that in its root.
      expect(Math.abs(other.functionError! - layer.functionError)).toBeLessThanOrEqual(5e-5 * layer.functionError);
    }
  });

  it('tfjs, on a terminal: the table names what fitted', () => {
    const { code, stdout, stderr } = convertIn(root, ['--engine', 'tfjs', '-o', join(folder, 'text.onnx')]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/fitted by\s+TensorFlow\.js: @tensorflow\/tfjs-backend-wasm 4\.22\.0, on the CPU/);
    expect(stdout + stderr).not.toMatch(/Hi, looks like|speed things up/);
  });

  it('tfjs without TensorFlow.js: one line that says what to install', () => {
    const outcome = convertIn(copyWith(), ['--engine', 'tfjs']);
    expectFailure(outcome, 'RUNTIME', /TensorFlow\.js is not installed; run npm install @tensorflow\/tfjs-node-gpu/);
  });

  it('ort needs none of it', () => {
    const outcome = convertIn(copyWith(), ['--json', '--quiet']);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
  });

  it('tfjs with a GPU build that does not load: the next one computes, and the report says so', () => {
    const place = copyWith({ '@tensorflow/tfjs-node-gpu': broken, '@tensorflow/tfjs': undefined });
    const { code, stdout, stderr } = convertIn(place, ['--engine', 'tfjs', ...weights, '--json', '--quiet']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const report = JSON.parse(stdout) as ConvertReport;
    expect(report.engine).toMatchObject({ package: '@tensorflow/tfjs-backend-wasm', device: 'cpu' });
    expect(report.warnings).toEqual([
      expect.stringMatching(
        /^@tensorflow\/tfjs-node-gpu is installed but does not load: .*tfjs_binding\.node.*; @tensorflow\/tfjs-backend-wasm computes in its place$/,
      ),
    ]);
  });

  it('tfjs with nothing but a GPU build that does not load, or with that one asked for: one line', () => {
    const alone = copyWith({ '@tensorflow/tfjs-node-gpu': broken });
    const words = /@tensorflow\/tfjs-node-gpu is installed but does not load: .*; install the package again/;
    expectFailure(convertIn(alone, ['--engine', 'tfjs']), 'RUNTIME', words);
    const both = copyWith({ '@tensorflow/tfjs-node-gpu': broken, '@tensorflow/tfjs': undefined });
    const asked = { LOWRANK_TFJS: '@tensorflow/tfjs-node-gpu' };
    expectFailure(convertIn(both, ['--engine', 'tfjs'], asked), 'RUNTIME', words);
    const absent = { LOWRANK_TFJS: '@tensorflow/tfjs-node' };
    expectFailure(
      convertIn(both, ['--engine', 'tfjs'], absent),
      'RUNTIME',
      /tfjs-node \(LOWRANK_TFJS\) is not installed/,
    );
  });

  it('tfjs runs the sampled fits too, the same for the same seed', () => {
    const words = ['--engine', 'tfjs', '--init', 'lfai-ws-adam', '--fit-steps', '20', '--json', '--quiet'];
    const [first, second] = [1, 2].map((run) => {
      const { code, stdout, stderr } = convertIn(root, words.concat('-o', join(folder, `adam-${run}.onnx`)));
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      return JSON.parse(stdout) as ConvertReport;
    });
    expect(first!.layers.filter(({ init }) => init === 'lfai-ws-adam').length).toBeGreaterThan(0);
    expect(first!.warnings).toEqual([]);
    expect(first!.output.sha256).toBe(second!.output.sha256);
  });

  it('wrong names', () => {
    expectFailure(
      convertIn(root, ['--engine', 'torch']),
      'USAGE',
      /'torch' is not a choice; option '--engine'; choose one of ort, tfjs/,
      2,
    );
    const unknown = { LOWRANK_TFJS: 'tfjs' };
    expectFailure(convertIn(root, ['--engine', 'tfjs'], unknown), 'USAGE', /LOWRANK_TFJS is 'tfjs'; choose one of/, 2);
  });
});
