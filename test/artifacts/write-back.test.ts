import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import type { EvalReport } from '../../src/contracts/eval.js';
import type { WriteBackReport } from '../../src/contracts/write-back.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { writeArtifacts } from '../../src/artifacts/artifacts.js';
import type { ArtifactsManifest } from '../../src/contracts/artifacts.js';
import {
  encodeSafetensors,
  readSafetensors,
  type SafetensorsEntry,
  type SafetensorsFile,
} from '../../src/files/safetensors.js';
import { writeBack, type WriteBackOptions } from '../../src/artifacts/write-back.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { differences } from '../support/describe-json.js';
import { buildModel, type TestInitializer, type TestNode } from '../support/models.js';
import { textures, tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const model = at('tiny.onnx');
const artifacts = at('training');
const trained = at('trained.safetensors');
const batch = at('batch.safetensors');
const images = Float32Array.from({ length: 8 * 3 * 256 }, (_, i) => (((i + 1) * 2654435761) % 2 ** 32) / 2 ** 31 - 1);
const labels = BigInt64Array.from({ length: 8 }, (_, i) => BigInt(i % 3));
let manifest: ArtifactsManifest;
let printed = '';
let weights: SafetensorsFile;

beforeAll(async () => {
  writeFileSync(model, tinyClassifier({ dropout: 0.25 }));
  manifest = await writeArtifacts(model, artifacts, { settings: { normalization: 'symmetric' } });
  const tensors = new Map<string, SafetensorsEntry>([
    ['x', { shape: [8, 3, 16, 16], data: images }],
    ['y', { shape: [8], data: labels }],
  ]);
  writeFileSync(batch, encodeSafetensors(tensors));
  const words = [artifacts, '--data', batch, '--steps', '6', '--lr', '0.1', '-o', trained];
  const { status, stdout, stderr } = spawnSync(process.execPath, ['examples/train.mjs', ...words], {
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  printed = stdout;
  weights = readSafetensors(trained);
});

/** Mean cross-entropy and hits of a written model on the batch. */
async function measured(path: string): Promise<{ readonly loss: number; readonly correct: number }> {
  const driver = await loadDriver();
  const session = await driver.createSession(readFileSync(path));
  const { y } = await session.run({ x: { type: 'float32', dims: [8, 3, 16, 16], data: images } });
  await session.close();
  const logits = y!.data as Float32Array;
  const rows = Array.from(labels, (label, i) => {
    const row = logits.subarray(3 * i, 3 * i + 3);
    const sum = row.reduce((total, value) => total + Math.exp(value), 0);
    return { loss: Math.log(sum) - row[Number(label)]!, isRight: row.indexOf(Math.max(...row)) === Number(label) };
  });
  return {
    loss: rows.reduce((sum, { loss }) => sum + loss, 0) / rows.length,
    correct: rows.filter(({ isRight }) => isRight).length,
  };
}

let files = 0;
function fileOf(
  tensors: ReadonlyMap<string, SafetensorsEntry>,
  metadata: Readonly<Record<string, string>> = {},
): string {
  const path = at(`${++files}.safetensors`);
  writeFileSync(path, encodeSafetensors(tensors, metadata));
  return path;
}

const written = (path: string, options: WriteBackOptions = {}): Promise<WriteBackReport> =>
  writeBack(path, { model: artifacts, output: at(`${files}.onnx`), force: true, ...options });

/** The trained tensors with one of them changed, or left out. */
function changed(name: string, entry: SafetensorsEntry | undefined): ReadonlyMap<string, SafetensorsEntry> {
  const tensors = new Map(weights.tensors);
  if (entry === undefined) tensors.delete(name);
  else tensors.set(name, entry);
  return tensors;
}

describe('lowrank artifacts --write-back', () => {
  const output = at('model.onnx');

  it('makes a model of what another program trained, without being told which model', async () => {
    const { code, stdout, stderr } = run('artifacts', '--write-back', trained, '-o', output);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`written     ${output}`);
    const [, loss, correct] = /^evaluation: loss ([\d.e-]+), (\d+) of 8 right/m.exec(printed)!;
    const made = await measured(output);
    expect(made.correct).toBe(Number(correct));
    // Two graphs of some thirty float32 operations.
    expect(Math.abs(made.loss - Number(loss))).toBeLessThan(1e-5);
    expect(Math.abs(made.loss - (await measured(model)).loss)).toBeGreaterThan(0.01);
  });

  it('changes the trained tensors alone, and keeps what is known of the images', () => {
    const [before, after] = [readModel(model), readModel(output)];
    const names = before.graph.initializers.map(({ name }) => name);
    expect(after.graph.initializers.map(({ name }) => name)).toEqual(names);
    for (const { name, tensor } of after.graph.initializers) {
      const wanted = weights.tensors.get(name)?.data ?? before.graph.value(name)!.tensor!.toFloat32();
      expect([...tensor!.toFloat32()], name).toEqual([...wanted]);
    }
    expect(weights.tensors.size).toBe(manifest.parameters.length + manifest.statistics.length);
    expect(after.metadata.get('lowrank.normalization')).toBe('symmetric');
    expect([...after.graph.nodes].map(({ label }) => label)).toEqual(before.graph.nodes.map(({ label }) => label));
    for (const each of [before, after]) each.file?.close();
  });

  it('prints one document of the contract', () => {
    const { code, stdout } = run('artifacts', artifacts, '--write-back', trained, '-o', output, '--force', '--json');
    expect(code).toBe(0);
    const count = { tensors: 'count', elements: 'count' };
    const hashed = { path: 'string', sha256: 'string' };
    const contract = {
      schema: '=lowrank.write-back/1',
      tool: { name: '=lowrank', version: 'string' },
      command: 'string',
      model: hashed,
      trained: hashed,
      artifacts: 'string',
      parameters: count,
      statistics: count,
      output: { path: 'string', bytes: 'count', sha256: 'string' },
      warnings: 'list',
    };
    const report = JSON.parse(stdout) as WriteBackReport;
    expect(differences(report, contract)).toEqual([]);
    expect(report.parameters).toEqual({ tensors: manifest.parameters.length, elements: manifest.lengths.parameters });
    expect(report.statistics).toEqual({ tensors: manifest.statistics.length, elements: manifest.lengths.statistics });
  });

  it('takes the flat vectors of a loop, and says where nothing was trained', async () => {
    const flat = (kind: 'parameters' | 'statistics'): SafetensorsEntry => {
      const data = new Float32Array(manifest.lengths[kind]);
      for (const { name, offset } of manifest[kind]) data.set(weights.tensors.get(name)!.data as Float32Array, offset);
      return { shape: [data.length], data };
    };
    const vectors = new Map([
      ['parameters', flat('parameters')],
      ['statistics', flat('statistics')],
    ]);
    const report = await written(fileOf(vectors));
    expect(report.warnings).toEqual([]);
    expect(readFileSync(report.output.path).equals(readFileSync(output))).toBe(true);
    const initial = await written(join(artifacts, 'initial.safetensors'));
    expect(initial.warnings).toEqual(['the trained tensors are those of the model: nothing was trained']);
  });

  it('reads manifests of earlier versions, which do not list factors', async () => {
    const old = at('old');
    mkdirSync(old);
    const parameters = manifest.parameters.map(({ factors, ...parameter }) => {
      expect(factors).toBeNull();
      return parameter;
    });
    writeFileSync(join(old, 'manifest.json'), JSON.stringify({ ...manifest, parameters }));
    const report = await written(trained, { model: old });
    expect(readFileSync(report.output.path).equals(readFileSync(output))).toBe(true);
  });

  it('takes the model itself, with the options that the artifacts were written with', async () => {
    const plain = await written(trained, { model });
    expect(plain.artifacts).toBeNull();
    const some = new Map([...weights.tensors].filter(([name]) => !/^stem\.(weight|bn\.(weight|bias))$/.test(name)));
    await expect(written(fileOf(some), { model })).rejects.toMatchObject({ code: 'INPUT' });
    const frozen = await written(fileOf(some), { model, settings: { freeze: ['stem.*'] } });
    expect(frozen.parameters.tensors).toBe(plain.parameters.tensors - 3);
  });

  it('takes float16 and bfloat16 as what they are', async () => {
    const name = 'fc.bias';
    const bits = { F16: [0x3c00, 0xb800, 0x0001], BF16: [0x3f80, 0xbf00, 0x0001] };
    const expected = { F16: [1, -0.5, 2 ** -24], BF16: [1, -0.5, 2 ** -133] };
    for (const dtype of ['F16', 'BF16'] as const) {
      const others = new Map(weights.tensors);
      others.delete(name);
      const encoded = encodeSafetensors(others);
      const length = Number(encoded.readBigUInt64LE());
      const header = JSON.parse(encoded.toString('utf8', 8, 8 + length)) as Record<string, unknown>;
      const data = encoded.subarray(8 + length);
      header[name] = { dtype, shape: [3], data_offsets: [data.length, data.length + 6] };
      const json = Buffer.from(JSON.stringify(header));
      const size = Buffer.alloc(8);
      size.writeBigUInt64LE(BigInt(json.length));
      const path = at(`${dtype}.safetensors`);
      writeFileSync(path, Buffer.concat([size, json, data, new Uint8Array(Uint16Array.from(bits[dtype]).buffer)]));
      const report = await written(path);
      const made = readModel(report.output.path);
      expect([...made.graph.value(name)!.tensor!.toFloat32()]).toEqual(expected[dtype]);
      made.file?.close();
    }
  });

  it('puts what the file says of its images into the model', async () => {
    const classes = JSON.stringify(['a', ['b', 'title of b'], 'c']);
    const path = fileOf(weights.tensors, {
      'lowrank.normalization': 'cifar10',
      'lowrank.classes': classes,
      other: '1',
    });
    const made = readModel((await written(path)).output.path);
    expect(made.metadata.get('lowrank.normalization')).toBe('cifar10');
    expect(made.metadata.get('lowrank.classes')).toBe(classes);
    expect(made.metadata.has('other')).toBe(false);
    made.file?.close();
    for (const [key, text] of [
      ['lowrank.normalization', 'nonsense'],
      ['lowrank.classes', '["a", "b"]'],
    ] as const) {
      await expect(written(fileOf(weights.tensors, { [key]: text }))).rejects.toMatchObject({ code: 'FORMAT' });
    }
  });

  it('gives layers that started with one tensor each its own', async () => {
    const tensor = (name: string, dims: readonly number[], value: number): TestInitializer => ({
      ...{ name, dims },
      data: new Float32Array(dims.reduce((product, dim) => product * dim, 1)).fill(value),
    });
    const zeros = at('zeros.onnx');
    const nodes: readonly TestNode[] = [
      { op: 'Conv', inputs: ['x', 'a', 'zeros'], outputs: ['c'] },
      { op: 'Conv', inputs: ['c', 'b', 'zeros'], outputs: ['d'] },
      { op: 'GlobalAveragePool', inputs: ['d'], outputs: ['p'] },
      { op: 'Flatten', inputs: ['p'], outputs: ['y'] },
    ];
    const initializers = [tensor('a', [3, 3, 1, 1], 0.1), tensor('b', [3, 3, 1, 1], 0.2), tensor('zeros', [3], 0)];
    const [inputs, outputs] = [[{ name: 'x', dims: ['n', 3, 8, 8] }], [{ name: 'y' }]];
    writeFileSync(zeros, buildModel({ inputs, outputs, nodes, initializers }));
    const { parameters } = await writeArtifacts(zeros, at('zeros'));
    const copy = parameters.find(({ copyOf }) => copyOf === 'zeros');
    const values = parameters.map(
      ({ name, shape, size }, index) => [name, { shape, data: new Float32Array(size).fill(index + 1) }] as const,
    );
    const report = await written(fileOf(new Map(values)), { model: at('zeros') });
    const made = readModel(report.output.path);
    const biases = made.graph.nodes.flatMap(({ inputs: [, , bias] }) => bias?.name ?? []);
    expect(biases).toEqual(['zeros', copy!.name]);
    for (const [name, { data }] of values) expect([...made.graph.value(name)!.tensor!.toFloat32()]).toEqual([...data]);
    made.file?.close();
  });
});

describe('lowrank artifacts --write-back refuses', () => {
  const output = at('refused.onnx');
  const values = (count: number, value = 0.5): Float32Array => new Float32Array(count).fill(value);

  it.each([
    [
      'a missing tensor',
      'INPUT',
      /lacks 1 trained tensor, first 'fc\.bias' \[3\]/,
      () => changed('fc.bias', undefined),
    ],
    [
      'a missing statistic',
      'INPUT',
      /lacks 1 trained tensor, first 'stem\.bn\.mean' \[8\].*save all statistics/,
      () => changed('stem.bn.mean', undefined),
    ],
    [
      'an unknown tensor',
      'INPUT',
      /1 tensor beside those that are trained, first 'fc\.scale' \[2\]/,
      () => changed('fc.scale', { shape: [2], data: values(2) }),
    ],
    [
      'another shape',
      'SHAPE',
      /'fc\.weight' is \[8, 3\], in the model \[3, 8\]/,
      () => changed('fc.weight', { shape: [8, 3], data: values(24) }),
    ],
    [
      'numbers of another type',
      'UNSUPPORTED',
      /'fc\.bias' is of type F64, in the model float32.*save its numbers as float32/,
      () => changed('fc.bias', { shape: [3], data: new Float64Array(3) }),
    ],
    [
      'NaN',
      'NUMERIC',
      /'fc\.bias' holds NaN at element 0/,
      () => changed('fc.bias', { shape: [3], data: values(3, NaN) }),
    ],
    [
      'a negative variance',
      'NUMERIC',
      /running variance 'stem\.bn\.variance' is -0\.5 at element 0/,
      () => changed('stem.bn.variance', { shape: [8], data: values(8, -0.5) }),
    ],
    [
      'a vector of another length',
      'SHAPE',
      /'parameters' is \[5\], in the model \[\d+\]/,
      () => new Map([['parameters', { shape: [5], data: values(5) }]]),
    ],
  ])('%s', async (_, code, words, tensors) => {
    const failure = written(fileOf(tensors()), { output });
    await expect(failure).rejects.toMatchObject({ code });
    await expect(failure).rejects.toThrow(words);
    expect(existsSync(output)).toBe(false);
  });

  it('a file that names no model, another model, and what is no folder of artifacts', () => {
    const nameless = fileOf(weights.tensors);
    const write = (...words: readonly string[]) => run('artifacts', ...words, '-o', output);
    expectFailure(write('--write-back', nameless), 'USAGE', /do not say which model.*name the model, or the folder/, 2);
    mkdirSync(at('empty'));
    expectFailure(write(at('empty'), '--write-back', nameless), 'INPUT', /the folder holds no training artifacts/);
    expectFailure(write(), 'USAGE', /no model is given/, 2);
    expectFailure(run('artifacts', artifacts, '--write-back', trained, '-o', model), 'USAGE', /are the same file/, 2);
    expectFailure(
      run('artifacts', artifacts, '--write-back', trained, '-o', join(artifacts, 'm.onnx')),
      'USAGE',
      /the output lies in the folder of artifacts/,
      2,
    );
    const original = readFileSync(model);
    writeFileSync(model, tinyClassifier({ dropout: 0.25, seed: 2 }));
    expectFailure(write(artifacts, '--write-back', trained), 'INPUT', /is not the one that the artifacts are of/);
    writeFileSync(model, original);
    expect(existsSync(output)).toBe(false);
  });

  it('is told of options that say nothing there', () => {
    const words = ['artifacts', artifacts, '--write-back', trained, '-o', at('noted.onnx'), '--optimizer', 'adam'];
    expect(run(...words).stderr).toBe('--optimizer has no effect with --write-back\n');
  });
});

const python = [
  process.env['LOWRANK_PYTHON'],
  process.env['LOWRANK_ORACLE_PYTHON'],
  'python3',
  '/usr/bin/python3',
].filter((program) => program !== undefined);
const succeeds = (program: string, code: string): boolean =>
  spawnSync(program, ['-c', code], { stdio: 'ignore' }).status === 0;
const able = python.find((program) => succeeds(program, 'import numpy, onnxruntime, PIL'));
const any = python.find((program) => succeeds(program, ''));

describe('examples/train.py', () => {
  it.skipIf(any === undefined)('says what it needs (needs a Python)', () => {
    // -S: without the packages of the site.
    const { status, stderr } = spawnSync(any!, ['-S', 'examples/train.py', artifacts], { encoding: 'utf8' });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^numpy is missing, .*: pip install numpy onnxruntime pillow\n$/);
  });

  it.skipIf(able === undefined)(
    'trains on a folder of images, and its model has the accuracy that it printed (needs numpy, onnxruntime, pillow: LOWRANK_PYTHON)',
    async () => {
      const photos = at('photos');
      await writeTextures(join(photos, 'train'), 12, 1);
      await writeTextures(join(photos, 'val'), 8, 2);
      const file = at('by-python.safetensors');
      const words = ['examples/train.py', artifacts, '--data', join(photos, 'train'), '--val', join(photos, 'val')];
      const flags = ['--epochs', '4', '--lr', '0.1', '--batch-size', '8', '-o', file];
      const { status, stdout, stderr } = spawnSync(able!, [...words, ...flags], { encoding: 'utf8' });
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      const [, loss, right] = /epoch 4\/4: .*validation: loss ([\d.e-]+), (\d+) of 24 right/.exec(stdout)!;
      const made = at('by-python.onnx');
      expect(run('artifacts', '--write-back', file, '-o', made).code).toBe(0);
      // It says itself how images are shown to it, and in which order it tells the classes.
      const { code, stdout: json } = run('eval', made, '--data', join(photos, 'val'), '--json');
      expect(code).toBe(0);
      const report = JSON.parse(json) as EvalReport;
      expect(report.preparation?.normalization).toMatchObject({ name: 'symmetric', from: 'metadata' });
      expect(report.preparation?.classes?.from).toBe('metadata');
      expect(report.perClass.map(({ name }) => name)).toEqual([...textures].sort());
      expect(Math.round(report.top1 * 24)).toBe(Number(right));
      // Pillow resizes in bytes, rounded: half of one of 255 in a range of 2.
      expect(Math.abs(report.loss - Number(loss))).toBeLessThan(0.02);
    },
  );

  it.skipIf(able === undefined)('refuses folders that are not as the model needs them', () => {
    const fails = (words: RegExp, ...args: readonly string[]): void => {
      const { status, stderr } = spawnSync(able!, ['examples/train.py', ...args], { encoding: 'utf8' });
      expect(status).toBe(1);
      expect(stderr).toMatch(words);
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    };
    fails(/holds no training artifacts: write them with lowrank artifacts/, folder);
    fails(/holds no images: it needs a folder for each class/, artifacts, '--data', artifacts);
  });
});
