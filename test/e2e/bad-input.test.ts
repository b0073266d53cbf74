import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { expectFailure, lowrank, run, temporaryFolder } from '../support/command.js';
import { buildModel } from '../support/models.js';
import { hasShared, modelPath } from '../support/shared.js';

const folder = temporaryFolder();
const inFolder = (name: string): string => join(folder, name);

/** A small real network: conv, ReLU, conv, pooling, dense; `weight` may spoil its first weight. */
function smallModel(name: string, weight = (i: number): number => Math.sin(i)): string {
  const path = inFolder(name);
  const values = (count: number, f: (i: number) => number): Float32Array =>
    Float32Array.from({ length: count }, (_, i) => f(i));
  const bytes = buildModel({
    inputs: [{ name: 'x', dims: ['batch', 3, 12, 12] }],
    outputs: [{ name: 'y' }],
    initializers: [
      { name: 'w0', dims: [16, 3, 3, 3], data: values(432, Math.cos) },
      { name: 'w1', dims: [16, 16, 3, 3], data: values(2304, weight) },
      { name: 'w2', dims: [16, 16, 3, 3], data: values(2304, Math.cos) },
    ],
    nodes: [
      { op: 'Conv', name: 'c0', inputs: ['x', 'w0'], outputs: ['a'], attributes: { pads: [1, 1, 1, 1] } },
      { op: 'Relu', inputs: ['a'], outputs: ['b'] },
      { op: 'Conv', name: 'c1', inputs: ['b', 'w1'], outputs: ['c'], attributes: { pads: [1, 1, 1, 1] } },
      { op: 'Relu', inputs: ['c'], outputs: ['d'] },
      { op: 'Conv', name: 'c2', inputs: ['d', 'w2'], outputs: ['y'] },
    ],
  });
  writeFileSync(path, bytes);
  return path;
}

const good = smallModel('good.onnx');

function convertTo(output: string, ...words: string[]): ReturnType<typeof run> {
  return run('convert', good, '-o', output, '--quiet', ...words);
}

/** Nothing but what was there before, not even a hidden temporary file. */
function expectUnchanged(where: string, before: readonly string[]): void {
  expect(readdirSync(where).sort()).toEqual([...before].sort());
}

describe('bad models', () => {
  const cases: readonly [string, () => string, string, RegExp][] = [
    ['an empty file', () => (writeFileSync(inFolder('empty.onnx'), ''), inFolder('empty.onnx')), 'INPUT', /empty/],
    ['a missing file', () => inFolder('nowhere.onnx'), 'INPUT', /no such file/],
    ['a directory', () => folder, 'INPUT', /directory/],
    [
      'text',
      () => (writeFileSync(inFolder('text.onnx'), 'hello, I am no model'), inFolder('text.onnx')),
      'FORMAT',
      /not an ONNX/,
    ],
    [
      'a truncated model',
      () => (writeFileSync(inFolder('cut.onnx'), readFileSync(good).subarray(0, 3000)), inFolder('cut.onnx')),
      'FORMAT',
      /cut|claims|complete/,
    ],
    [
      'NaN weights',
      () => smallModel('nan.onnx', (i) => (i === 7 ? Number.NaN : 1)),
      'NUMERIC',
      /weight element 7 is NaN; layer 'c1'; .*--exclude/,
    ],
    ['infinite weights', () => smallModel('inf.onnx', (i) => (i === 9 ? -Infinity : 1)), 'NUMERIC', /-Infinity/],
    [
      'a 4 GB length prefix in a small file',
      () => (
        writeFileSync(
          inFolder('bomb.onnx'),
          Buffer.concat([Buffer.from([0x08, 8, 0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f]), Buffer.alloc(1000)]),
        ),
        inFolder('bomb.onnx')
      ),
      'FORMAT',
      /claims 4294967295 bytes/,
    ],
  ];

  it.each(cases)('%s', (_, make, code, words) => {
    const path = make();
    const before = readdirSync(folder);
    for (const command of ['convert', 'inspect', 'merge']) {
      // Inspecting shapes does not read weights: NaN is convert's and the spectrum's complaint.
      if (code === 'NUMERIC' && command !== 'convert') continue;
      expectFailure(run(command, path, '--quiet'), code, words);
    }
    expectUnchanged(folder, before);
  });

  // One in QDQ form is converted on its dequantized weights.
  const refused = readdirSyncOrEmpty('refuse').filter((name) => !name.includes('-qdq-'));

  it.skipIf(!hasShared).each(refused)('refuse/%s: one clear error', (name) => {
    const outcome = run('convert', modelPath(`refuse/${name}`), '-o', inFolder('refused.onnx'), '--quiet');
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(/^error\[(UNSUPPORTED|FORMAT|EXTERNAL_DATA)\]: .+; .+; .+\n$/);
    expect(existsSync(inFolder('refused.onnx'))).toBe(false);
  });

  it.skipIf(!hasShared)('a model in QDQ form is converted, and it is said', () => {
    const path = modelPath('refuse/cifar10-resnet8-qdq-op13.onnx');
    const { code, stdout } = run('convert', path, '-o', inFolder('float.onnx'), '--calibrate', 'none');
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /warning: the model is quantized \(8 of its 8 layers\): converted with its dequantized weights/,
    );
  });

  const external = (location: string): string => {
    const home = inFolder('external');
    mkdirSync(home, { recursive: true });
    const path = join(home, 'model.onnx');
    writeFileSync(
      path,
      buildModel({
        inputs: [{ name: 'x', dims: [1, 64] }],
        outputs: [{ name: 'y' }],
        initializers: [{ name: 'w', dims: [64, 64], data: { location, length: 64 * 64 * 4 } }],
        nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
      }),
    );
    return path;
  };

  it.each([['../../etc/passwd'], ['/etc/passwd'], ['link'], ['C:\\data'], ['a/../../secret']])(
    'external data at %s is refused',
    (location) => {
      const path = external(location);
      writeFileSync(inFolder('secret'), Buffer.alloc(64 * 64 * 4));
      if (!existsSync(join(folder, 'external', 'link')))
        symlinkSync(inFolder('secret'), join(folder, 'external', 'link'));
      expectFailure(run('convert', path, '--quiet'), 'EXTERNAL_DATA', /outside the model's folder/);
    },
  );
});

function readdirSyncOrEmpty(name: string): string[] {
  return hasShared ? readdirSync(modelPath(name)).filter((file) => file.endsWith('.onnx')) : [];
}

describe('bad options', () => {
  const ranks = (content: string): string => {
    const path = inFolder('ranks.json');
    writeFileSync(path, content);
    return path;
  };

  const cases: readonly [string, () => string[], string, RegExp, number][] = [
    [
      'an unknown layer in a rank file',
      () => ['--ranks', ranks('{"nothere": 4}')],
      'USAGE',
      /'nothere'.*lowrank-inspect/,
      2,
    ],
    ['an impossible rank', () => ['--ranks', ranks('{"c1": 4000}')], 'USAGE', /rank 4000 for layer 'c1'.*1 to 48/, 2],
    ['a fractional rank', () => ['--ranks', ranks('{"c1": 1.5}')], 'USAGE', /1\.5/, 2],
    ['a rank that is text', () => ['--ranks', ranks('{"c1": "much"}')], 'FORMAT', /"much"/, 1],
    ['a rank file that is no JSON', () => ['--ranks', ranks('{')], 'FORMAT', /not JSON/, 1],
    ['a rank file that is missing', () => ['--ranks', inFolder('none.json')], 'INPUT', /none\.json/, 1],
    ['two rank modes', () => ['--rank-scale', '0.5', '--energy', '0.9'], 'USAGE', /contradict/, 2],
    [
      'an impossible budget',
      () => ['--params-budget', '0.001'],
      'USAGE',
      /cannot be reached; the smallest possible/,
      2,
    ],
    ['a glob that matches nothing', () => ['--exclude', 'zzz*'], 'USAGE', /'zzz\*' matches no layer/, 2],
    ['a bad shape', () => ['--input-shape', 'x=1,a'], 'USAGE', /--input-shape/, 2],
    ['a shape that contradicts the model', () => ['--input-shape', 'x=1,5,12,12'], 'SHAPE', /x/, 1],
    ['CUDA where there is none', () => ['--device', 'cuda'], 'DEVICE', /./, 1],
    [
      'CUDA where there is none, where only the fits would run on it',
      () => ['--device', 'cuda', '--no-verify', '--init', 'spectral'],
      'DEVICE',
      /CUDA cannot be used/,
      1,
    ],
  ];

  it.each(cases)('%s', (_, words, code, message, exitCode) => {
    if (code === 'DEVICE' && existsSync('/dev/nvidia0')) return;
    const options = words();
    const before = readdirSync(folder);
    expectFailure(convertTo(inFolder('out.onnx'), ...options), code, message, exitCode);
    expectUnchanged(folder, before);
  });
});

describe('outputs that cannot be written', () => {
  it('an existing file is kept without --force', () => {
    const path = inFolder('existing.onnx');
    writeFileSync(path, 'precious');
    expectFailure(convertTo(path), 'OUTPUT', /exists already; .*; pass --force/);
    expect(readFileSync(path, 'utf8')).toBe('precious');
  });

  it('a missing folder, a folder as output', () => {
    expectFailure(convertTo(join(folder, 'no', 'such', 'out.onnx')), 'OUTPUT', /folder of the output does not exist/);
    mkdirSync(inFolder('somewhere'), { recursive: true });
    expectFailure(convertTo(inFolder('somewhere')), 'OUTPUT', /is a folder/);
  });

  it('a full disk leaves nothing behind', ({ skip }) => {
    const mount = inFolder('full');
    mkdirSync(mount);
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', mount]);
    if (status !== 0) skip('a file system of limited size cannot be mounted here');
    try {
      expectFailure(convertTo(join(mount, 'out.onnx'), '--rank-scale', '0.5'), 'OUTPUT', /no space left/);
      expect(readdirSync(mount)).toEqual([]);
    } finally {
      spawnSync('umount', [mount]);
    }
  });

  it('SIGKILL at any moment leaves no half file under the final name', async () => {
    const model = hasShared ? modelPath('cifar10-resnet20-pt1.6-op9-bn.onnx') : good;
    const home = inFolder('killed');
    mkdirSync(home, { recursive: true });
    const path = join(home, 'out.onnx');
    let killed = 0;
    for (const delay of [150, 400, 700, 1000, 1400]) {
      const child = spawn(
        process.execPath,
        [lowrank, 'convert', model, '-o', path, '--quiet', '--force', '--init', 'spectral'],
        { stdio: 'ignore' },
      );
      const end = new Promise<NodeJS.Signals | null>((resolve) => child.once('exit', (_, signal) => resolve(signal)));
      const timer = setTimeout(() => child.kill('SIGKILL'), delay);
      if ((await end) === 'SIGKILL') killed++;
      clearTimeout(timer);
      // Whole or not there: a file under the final name must be a model.
      if (existsSync(path)) expect(run('inspect', path, '--no-spectrum', '--quiet').code).toBe(0);
    }
    expect(killed).toBeGreaterThan(0);
  });

  it('an interrupted conversion ends with 130 and leaves nothing', async () => {
    const home = inFolder('interrupted');
    mkdirSync(home, { recursive: true });
    const source = join(home, 'model.onnx');
    copyFileSync(hasShared ? modelPath('cifar10-resnet20-pt1.6-op9-bn.onnx') : good, source);
    chmodSync(source, 0o644);
    const convertFor = async (milliseconds: number): Promise<number | null> => {
      const child = spawn(process.execPath, [lowrank, 'convert', source, '--init', 'lfai', '--force'], {
        stdio: 'ignore',
      });
      const end = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
      const timer = setTimeout(() => child.kill('SIGINT'), milliseconds);
      const code = await end;
      clearTimeout(timer);
      return code;
    };
    // Before Node has started the program the signal simply ends it (null); a quick machine may be done before (0).
    for (const milliseconds of [300, 500, 800, 1200, 2000]) {
      const code = await convertFor(milliseconds);
      expect([null, 0, 130]).toContain(code);
      if (code !== 0) expect(readdirSync(home)).toEqual(['model.onnx']);
      if (code !== null) break;
    }
  });
});
