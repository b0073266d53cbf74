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
import { floats } from '../data/support/npy.js';
import { expectFailure, report, run, temporaryFolder } from '../support/command.js';
import { buildModel, type TestInitializer, type TestValue } from '../support/models.js';
import { writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);

const mask = Float32Array.from({ length: 256 }, (_, index) => (index % 16 < 12 ? 1 : 0));
const others: readonly TestValue[] = [
  { name: 'mask', dims: ['n', 1, 16, 16] },
  { name: 'kind', type: 'int64', dims: ['n'] },
  { name: 'scale', dims: [] },
];

/** Two convolutions, a mask, the row of a table, a scale, a dense layer: [n, 3, 16, 16] → [n, 3]; `fixed` are initializers. */
function masked(fixed: readonly TestInitializer[] = []): Uint8Array {
  const weight = (name: string, dims: readonly number[], scale: number): TestInitializer => {
    const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
    fillTruncatedNormal(randomStream(5, name), data, 0, scale);
    return { name, dims, data };
  };
  const pads = { pads: [1, 1, 1, 1], kernel_shape: [3, 3] };
  return buildModel({
    inputs: [{ name: 'x', dims: ['n', 3, 16, 16] }, ...(fixed.length > 0 ? [] : others)],
    outputs: [{ name: 'y', dims: ['n', 3] }],
    nodes: [
      { op: 'Conv', inputs: ['x', 'w1'], outputs: ['c1'], attributes: pads },
      { op: 'Relu', inputs: ['c1'], outputs: ['r1'] },
      { op: 'Conv', inputs: ['r1', 'w2'], outputs: ['c2'], name: 'second', attributes: pads },
      { op: 'Relu', inputs: ['c2'], outputs: ['r2'] },
      { op: 'Mul', inputs: ['r2', 'mask'], outputs: ['m'] },
      { op: 'GlobalAveragePool', inputs: ['m'], outputs: ['p'] },
      { op: 'Flatten', inputs: ['p'], outputs: ['f'] },
      { op: 'Gather', inputs: ['table', 'kind'], outputs: ['row'] },
      { op: 'Mul', inputs: ['f', 'scale'], outputs: ['s'] },
      { op: 'Add', inputs: ['s', 'row'], outputs: ['a'] },
      { op: 'Gemm', inputs: ['a', 'w3'], outputs: ['y'], attributes: { transB: 1 } },
    ],
    initializers: [
      weight('w1', [12, 3, 3, 3], 0.3),
      weight('w2', [16, 12, 3, 3], 0.15),
      weight('w3', [3, 16], 0.3),
      weight('table', [4, 16], 0.3),
      ...fixed,
    ],
  });
}

const [model, data, small, trained] = [at('m.onnx'), at('photos'), at('s.onnx'), at('t.onnx')];
const inputs = ['--input', `mask=@${at('mask.npy')}`, '--input', 'kind=2', '--input', 'scale=0.5'];
const images = ['--data', data, '--normalization', 'unit'];

beforeAll(async () => {
  await writeTextures(join(data, 'train'), 14, 1);
  await writeTextures(join(data, 'val'), 6, 2);
  writeFileSync(model, masked());
  writeFileSync(at('mask.npy'), floats([1, 16, 16], mask));
  const constants = [
    { name: 'mask', dims: [1, 1, 16, 16], data: mask },
    { name: 'kind', type: 'int64', dims: [1], data: BigInt64Array.of(2n) },
    { name: 'scale', dims: [], data: Float32Array.of(0.5) },
  ] as const;
  writeFileSync(at('constant.onnx'), masked(constants));
});

const inputsOf = (path: string): readonly string[] => readModel(path).graph.inputs.map(({ name }) => name);

describe('inputs that are no images', () => {
  it('have what --input says: as a model that has it inside', () => {
    const own = report('eval', model, ...images, ...inputs) as EvalReport;
    const constant = report('eval', at('constant.onnx'), ...images) as EvalReport;
    expect([own.n, own.loss, own.top1]).toEqual([18, constant.loss, constant.top1]);
    expect(own.settings).toMatchObject({ inputs: [`mask=@${at('mask.npy')}`, 'kind=2', 'scale=0.5'] });
    const other = ['--input', 'mask=1', '--input', 'kind=0', '--input', 'scale=0.5'];
    expect((report('eval', model, ...images, ...other) as EvalReport).loss).not.toBe(own.loss);
  });

  it('are inputs of what is written still, fitted on images and without', () => {
    const words = [
      '--rank-scale',
      '0.4',
      '--no-keep-first',
      '--normalization',
      'unit',
      '--calibrate-images',
      '24',
      ...inputs,
    ];
    for (const calibrate of [[], ['--calibrate', data]]) {
      const { layers, verify, calibration } = report(
        'convert',
        model,
        ...words,
        ...calibrate,
        '-o',
        small,
        '--force',
      ) as ConvertReport;
      expect(layers.find(({ name }) => name === 'second')!.action).toBe('factorized');
      expect(calibration!.layers).toBeGreaterThan(0);
      expect(verify!.relativeDiff).toBeLessThan(1);
      expect(inputsOf(small)).toEqual(['x', 'mask', 'kind', 'scale']);
      expect(readModel(small).graph.initializers.filter(({ name }) => name.includes('fixed'))).toEqual([]);
    }
    const match = report('eval', small, '--vs', model, '--match', ...images, ...inputs) as AgreementReport;
    expect(match.images).toBe(18);
    const inits = ['--inits', 'spectral,whitened', '--rank-scale', '0.4', '--no-keep-first', '--val', data];
    expect((report('compare', model, ...images, ...inputs, ...inits) as CompareReport).validation!.n).toBe(18);
  });

  it('are inputs of what is trained still, and nothing of them is trained', () => {
    const words = ['--epochs', '2', '--batch-size', '7', '--lr', '0.05', '--augment', 'none', '-o', trained];
    const { written, settings } = report('train', model, ...images, ...inputs, ...words) as TrainReport;
    expect(settings.inputs).toHaveLength(3);
    expect(inputsOf(trained)).toEqual(['x', 'mask', 'kind', 'scale']);
    const told = report('eval', trained, ...images, ...inputs) as EvalReport;
    expect(told.loss).toBeCloseTo(written!.valLoss!, 4);
    const step = ['--teacher', model, '--data', data, '--steps', '4', '--batch-size', '7', '-o', at('r.onnx')];
    const { start, written: best } = report('train', small, ...step, ...inputs, '--lr', '0.01') as RecoverReport;
    expect(best!.loss).toBeLessThanOrEqual(start.loss);
  });

  it('are named, with what to give, where nothing is given, and where it does not fit', () => {
    const out = ['-o', at('never.onnx')];
    for (const words of [
      ['eval', model, ...images],
      ['train', model, ...images, ...out],
      ['convert', model, '--calibrate', data, ...out],
      ['eval', model, '--vs', model, '--match', ...images],
      ['train', model, '--teacher', model, '--data', data, ...out],
    ]) {
      expectFailure(run(...words), 'UNSUPPORTED', /4 inputs.*'mask' float32 \[.*--input name=value/);
    }
    expectFailure(run('eval', model, ...images, '--input', 'msk=1'), 'USAGE', /no input 'msk'.*'mask' float32/, 2);
    expectFailure(run('train', model, ...images, ...out, '--input', 'kind=0.5'), 'USAGE', /'kind' is int64 \[n\]/, 2);
    const one = ['--input', 'mask=1'];
    expectFailure(
      run('convert', model, '--calibrate', data, ...one, ...out),
      'UNSUPPORTED',
      /more than one input is left/,
    );
  });
});
