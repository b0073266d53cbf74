import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ConvertReport } from '../../src/contracts/convert.js';
import { recover } from '../../src/recover/recover.js';
import type { TrainProgress } from '../../src/report/train-progress.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { buildModel, type TestModel } from '../support/models.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';
import { normal } from '../train/support/loss-of.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const photos = at('photos');

/** Two convolutions, and what comes behind them. */
function model(seed: string, { nodes, outputs }: Pick<TestModel, 'nodes' | 'outputs'>): Uint8Array {
  const padded = { pads: [1, 1, 1, 1] };
  return buildModel({
    inputs: [{ name: 'x', dims: ['n', 3, 8, 8] }],
    nodes: [
      { op: 'Conv', inputs: ['x', 'a.weight'], outputs: ['a'], attributes: padded },
      { op: 'Relu', inputs: ['a'], outputs: ['a.relu'] },
      { op: 'Conv', inputs: ['a.relu', 'b.weight'], outputs: ['b'], attributes: padded },
      ...nodes,
    ],
    outputs,
    initializers: [
      { name: 'a.weight', dims: [8, 3, 3, 3], data: normal('a', 216, 0.3) },
      { name: 'b.weight', dims: [4, 8, 3, 3], data: normal(seed, 288, 0.2) },
    ],
  });
}

const ends: Readonly<Record<string, Pick<TestModel, 'nodes' | 'outputs'>>> = {
  segmenter: {
    nodes: [{ op: 'ArgMax', inputs: ['b'], outputs: ['map'], attributes: { axis: 1, keepdims: 0 } }],
    outputs: [{ name: 'map', type: 'int64', dims: ['n', 8, 8] }],
  },
  embedding: {
    nodes: [
      { op: 'GlobalAveragePool', inputs: ['b'], outputs: ['pool'] },
      { op: 'Flatten', inputs: ['pool'], outputs: ['flat'] },
      { op: 'LpNormalization', inputs: ['flat'], outputs: ['vector'], attributes: { axis: 1, p: 2 } },
    ],
    outputs: [{ name: 'vector', dims: ['n', 4] }],
  },
  'several outputs': {
    nodes: [{ op: 'Sigmoid', inputs: ['b'], outputs: ['scores'] }],
    outputs: [
      { name: 'a.relu', dims: ['n', 8, 8, 8] },
      { name: 'scores', dims: ['n', 4, 8, 8] },
    ],
  },
};

const settings = { steps: 30, batchSize: 8, lr: 0.01, normalization: 'unit' } as const;

beforeAll(() => writeTextures(photos, 16, 9));

describe('a training towards a teacher', () => {
  it.each(Object.keys(ends))('of a model that is no classifier: %s', async (name) => {
    const [teacher, student] = [at(`${name} teacher.onnx`), at(`${name}.onnx`)];
    writeFileSync(teacher, model('teacher', ends[name]!));
    writeFileSync(student, model('student', ends[name]!));
    const output = at(`${name} out.onnx`);
    const report = await recover({ model: student, teacher, data: photos, output, settings });
    expect(report.matching.classes).toBe(null);
    expect(report.start.agreement).toBe(null);
    expect(report.written!.loss).toBeLessThan(0.5 * report.start.loss);
  });

  it('that is interrupted writes the closest so far', async () => {
    const [teacher, student, output] = [at('t.onnx'), at('s.onnx'), at('interrupted.onnx')];
    writeFileSync(teacher, tinyClassifier({ seed: 1 }));
    writeFileSync(student, tinyClassifier({ seed: 2 }));
    const stop = new AbortController();
    const silent = (): void => undefined;
    const note = (line: string): void => {
      if (line.startsWith('step')) stop.abort();
    };
    const progress: TrainProgress = { step: silent, validating: silent, epoch: silent, done: silent, note };
    const { signal } = stop;
    const report = await recover({ model: student, teacher, data: photos, output, settings, signal, progress });
    expect(report.status).toBe('interrupted');
    expect(report.evaluations).toHaveLength(1);
    expect(report.written!.loss).toBe(Math.min(report.start.loss, report.evaluations[0]!.loss));
    expect(existsSync(output)).toBe(true);
  });
});

describe('convert --recover', () => {
  const convert = (...words: readonly string[]) =>
    run('convert', at('t.onnx'), '--macs-budget', '0.7', '--calibrate-images', '16', '--recover-steps', '20', ...words);

  it('converts, and trains what it wrote towards the original', () => {
    writeFileSync(at('t.onnx'), tinyClassifier({ seed: 1 }));
    const page = at('both.html');
    const words = ['--recover', photos, '--normalization', 'unit', '-o', at('both.onnx'), '--json', '--report', page];
    const { code, stdout, stderr } = convert(...words);
    expect(code, stderr).toBe(0);
    const { recovery, output } = JSON.parse(stdout) as ConvertReport;
    expect(recovery!.teacher.path).toBe(at('t.onnx'));
    expect(recovery!.written!.loss).toBeLessThanOrEqual(recovery!.start.loss);
    expect(output.sha256).toBe(recovery!.output!.sha256);
    expect(output.bytes).toBe(readFileSync(at('both.onnx')).length);
    expect(readFileSync(page, 'utf8')).toContain('<h2>Towards the original</h2>');
  });

  it('keeps the converted model where the recovery fails', () => {
    writeFileSync(at('t.onnx'), tinyClassifier({ seed: 1 }));
    const few = at('few');
    return writeTextures(few, 3, 4, ['one']).then(() => {
      const outcome = convert('--recover', few, '--normalization', 'unit', '-o', at('kept.onnx'), '--quiet');
      expectFailure(outcome, 'INPUT', /none can be kept out to judge by.*the converted model is .*kept\.onnx/);
      expect(existsSync(at('kept.onnx'))).toBe(true);
    });
  });

  it('is not for a curve, which writes nothing', () => {
    expectFailure(convert('--recover', photos, '--curve', '--quiet'), 'USAGE', /--curve writes no model/, 2);
  });
});
