import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { AgreementReport } from '../../src/contracts/agreement.js';
import type { CompareReport } from '../../src/contracts/compare.js';
import type { ConvertReport } from '../../src/contracts/convert.js';
import type { EvalReport } from '../../src/contracts/eval.js';
import type { RecoverReport } from '../../src/contracts/recover.js';
import type { TrainReport } from '../../src/contracts/train.js';
import { readModel } from '../../src/graph/read.js';
import { fillTruncatedNormal, randomStream } from '../../src/random.js';
import { encoder, pattern, writeTree } from '../data/support/images.js';
import { bytes, floats, labels } from '../data/support/npy.js';
import { expectFailure, report, run, temporaryFolder } from '../support/command.js';
import { buildModel, type TestNode } from '../support/models.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);

function normal(name: string, length: number, scale = 1): Float32Array {
  const data = new Float32Array(length);
  fillTruncatedNormal(randomStream(7, name), data, 0, scale);
  return data;
}

/** Two convolutions over the axes behind the channels, their mean, a dense layer: [n, …dims] → [n, 2]. */
function classifier(dims: readonly number[]): Uint8Array {
  const [channels, ...sides] = dims as [number, ...number[]];
  const kernel = sides.map(() => 3);
  const volume = 3 ** sides.length;
  const pads = [...sides, ...sides].map(() => 1);
  const initializers = [
    { name: 'w1', dims: [12, channels, ...kernel], data: normal('w1', 12 * channels * volume, 0.3) },
    { name: 'w2', dims: [12, 12, ...kernel], data: normal('w2', 144 * volume, 0.15) },
    { name: 'w3', dims: [2, 12], data: normal('w3', 24, 0.3) },
    { name: 'b3', dims: [2], data: new Float32Array(2) },
  ];
  const conv = (x: string, w: string, y: string): TestNode[] => [
    { op: 'Conv', inputs: [x, w], outputs: [y], name: y, attributes: { kernel_shape: kernel, pads } },
    { op: 'Relu', inputs: [y], outputs: [`${y}.relu`] },
  ];
  return buildModel({
    inputs: [{ name: 'x', dims: ['n', ...dims] }],
    outputs: [{ name: 'y', dims: ['n', 2] }],
    nodes: [
      ...conv('x', 'w1', 'c1'),
      ...conv('c1.relu', 'w2', 'c2'),
      { op: 'GlobalAveragePool', inputs: ['c2.relu'], outputs: ['p'] },
      { op: 'Flatten', inputs: ['p'], outputs: ['f'] },
      { op: 'Gemm', inputs: ['f', 'w3', 'b3'], outputs: ['y'], attributes: { transB: 1 } },
    ],
    initializers,
  });
}

/** Samples of two classes, which differ in how large their numbers are, in x.npy and y.npy. */
function pair(dims: readonly number[], count: number, name: string): Record<string, Uint8Array> {
  const size = dims.reduce((product, dim) => product * dim, 1);
  const numbers = normal(name, count * size);
  const classes = Array.from({ length: count }, (_, index) => index % 2);
  for (const [index, label] of classes.entries()) {
    for (let i = 0; i < size; i++) numbers[index * size + i]! *= label === 0 ? 0.2 : 2;
  }
  return { [`${name}/x.npy`]: floats([count, ...dims], numbers), [`${name}/y.npy`]: labels(classes) };
}

const shapes = { '1d': [2, 40], '3d': [3, 4, 6, 6] } as const;

beforeAll(() => {
  for (const [name, dims] of Object.entries(shapes)) {
    writeFileSync(at(`${name}.onnx`), classifier(dims));
    writeTree(at(name), { ...pair(dims, 48, 'train'), ...pair(dims, 20, 'val') });
  }
});

const train = ['--epochs', '8', '--batch-size', '8', '--lr', '0.1'];

describe.each(['1d', '3d'] as const)('arrays of a %s model', (name) => {
  const [model, data, trained, small] = [at(`${name}.onnx`), at(name), at(`${name}-t.onnx`), at(`${name}-s.onnx`)];
  const arrays = { type: 'float32', dims: [...shapes[name]] };

  it('are trained on as they are', () => {
    const { preparation, written, warnings } = report(
      'train',
      model,
      '-o',
      trained,
      '--data',
      data,
      ...train,
    ) as TrainReport;
    expect(preparation).toMatchObject({
      arrays,
      resize: { rule: 'none', from: 'arrays' },
      normalization: { name: 'unit', from: 'arrays' },
    });
    expect(written!.valTop1).toBeGreaterThan(0.9);
    expect(warnings).toContain('the arrays are fed as they are: --augment crop is of pictures');
    expect(readModel(trained).metadata.get('lowrank.arrays')).toBe('float32');
  });

  it('are evaluated on, fitted to, and agreed on', () => {
    expect((report('eval', trained, '--data', data) as EvalReport).top1).toBeGreaterThan(0.9);
    const words = ['--calibrate', data, '--init', 'whitened', '--rank-scale', '0.4', '--no-keep-first', '-o', small];
    const { calibration, layers } = report('convert', trained, ...words) as ConvertReport;
    expect(calibration!.preparation!.arrays).toEqual(arrays);
    expect(layers.some(({ action }) => action === 'factorized')).toBe(true);
    expect(readModel(small).metadata.get('lowrank.arrays')).toBe('float32');
    const match = report('eval', small, '--vs', trained, '--match', '--data', data) as AgreementReport;
    expect([match.images, match.preparation.arrays]).toEqual([20, arrays]);
    const inits = ['--calibrate', data, '--val', data, '--inits', 'spectral,whitened', '--rank-scale', '0.4'];
    expect((report('compare', trained, ...inits, '--no-keep-first') as CompareReport).validation!.n).toBe(20);
  });

  it('are recovered on, without labels', () => {
    const words = ['--teacher', trained, '--data', data, '--steps', '6', '--batch-size', '8', '--lr', '0.01'];
    const { start, written } = report('train', small, ...words, '-o', at(`${name}-r.onnx`)) as RecoverReport;
    expect(written!.loss).toBeLessThanOrEqual(start.loss);
    expect(readModel(at(`${name}-r.onnx`)).metadata.get('lowrank.arrays')).toBe('float32');
  });
});

describe('arrays of six channels', () => {
  const [model, data] = [at('6.onnx'), at('6')];
  beforeAll(() => {
    writeFileSync(model, classifier([6, 12, 12]));
    const sample = (seed: number): Uint8Array =>
      bytes(
        [6, 12, 12],
        normal(`s${seed}`, 864).map((value) => 128 + 40 * value + (seed % 2) * 30),
      );
    const files = Array.from({ length: 16 }, (_, index) => [`${index % 2}/${index}.npy`, sample(index)]);
    writeTree(data, Object.fromEntries(files));
  });

  it('are normalized by as many numbers as they have, which the trained model says', () => {
    const six = ['--mean', '0.4,0.4,0.4,0.5,0.5,0.6', '--std', '0.2'];
    const words = ['train', model, '-o', at('6t.onnx'), '--data', data, ...six, '--epochs', '1', '--batch-size', '4'];
    const { preparation } = report(...words, '--lr', '0.01') as TrainReport;
    expect(preparation!.normalization).toMatchObject({ mean: [0.4, 0.4, 0.4, 0.5, 0.5, 0.6], from: 'option' });
    const told = report('eval', at('6t.onnx'), '--data', data) as EvalReport;
    expect(told.preparation!.normalization).toMatchObject({ mean: [0.4, 0.4, 0.4, 0.5, 0.5, 0.6], from: 'metadata' });
    expect(told.loss).toBe((report('eval', at('6t.onnx'), '--data', data, ...six) as EvalReport).loss);
    expect(told.loss).not.toBe(
      (report('eval', at('6t.onnx'), '--data', data, '--normalization', 'unit') as EvalReport).loss,
    );
  });

  it('of a folder without classes are what layers are fitted to', () => {
    const { stdout, code } = run('convert', model, '--calibrate', join(data, '0'), '-o', at('6s.onnx'));
    expect(code).toBe(0);
    expect(stdout).toMatch(/arrays of uint8 \[6, 12, 12\], from 0 to 255 as 0 to 1; normalization unit \(only assumed/);
  });

  it('are what is named where pictures are given, or other arrays', async () => {
    const png = await encoder(pattern(20, 20)).png().toBuffer();
    writeTree(at('photos'), { 'a/1.png': png, 'b/1.png': png });
    const photos = ['--data', at('photos')];
    const out = ['-o', at('never.onnx')];
    const line = /it has 3 bands where the model takes 6 channels: give TIFF of 6 bands, or arrays \(\.npy\)/;
    expectFailure(run('convert', model, '--calibrate', at('photos'), ...out), 'INPUT', line);
    const { code, stderr } = run('eval', model, ...photos);
    expect([code, stderr]).toEqual([1, expect.stringMatching(line)]);
    for (const words of [
      ['train', model, '--data', at('1d'), ...out],
      ['eval', model, '--data', at('1d')],
      ['convert', model, '--calibrate', at('1d'), ...out],
      ['train', model, '--teacher', model, '--data', at('1d'), ...out],
    ]) {
      expectFailure(run(...words), 'INPUT', /the arrays are \[2, 40\], and the model takes \[6, 12, 12\]/);
    }
    expectFailure(run('eval', model, '--data', data, '--resize', '16'), 'USAGE', /leave --resize out/, 2);
    expectFailure(run('eval', model, '--data', data, '--mean', '1,2', '--std', '1'), 'USAGE', /channels are 6/, 2);
    expectFailure(run('data', 'pack', data, '-o', at('packed')), 'UNSUPPORTED', /a pack holds pictures/);
    expect(report('data', 'check', data)).toMatchObject({ format: 'arrays', formats: { npy: 16 }, kinds: { grey: 0 } });
  });
});
