import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TrainExplainReport } from '../../src/contracts/train-explain.js';
import { restBetweenRuns } from '../../src/runtime/threads.js';
import { defaultTrainSettings, trainSessionOptions } from '../../src/training/options.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const [data, model] = [join(folder, 'photos'), join(folder, 'model.onnx')];
beforeAll(async () => {
  await writeTextures(join(data, 'train'), 12, 1);
  writeFileSync(model, tinyClassifier());
});

function explained(...words: string[]): TrainExplainReport {
  const { code, stdout, stderr } = run(
    'train',
    model,
    '--data',
    data,
    '--batch-size',
    '6',
    '--explain',
    ...words,
    '--json',
  );
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return JSON.parse(stdout) as TrainExplainReport;
}

const valueOf = ({ choices }: TrainExplainReport, name: string): string | undefined =>
  choices.find((choice) => choice.name === name)?.value;

describe('lowrank-train --explain', () => {
  it('says what is chosen where nothing is said, each with a reason', () => {
    const report = explained();
    expect(report.schema).toBe('lowrank.train-explain/1');
    expect(valueOf(report, 'precision')).toBe('float32');
    expect(valueOf(report, 'graph')).toBe('cpu');
    expect(valueOf(report, 'update')).toBe('6 images');
    expect(valueOf(report, 'TF32')).toBeUndefined();
    expect(report.gradient.halfMacs).toBe(0);
    for (const { why } of report.choices) expect(why.length).toBeGreaterThan(10);
    expect(report.choices.find(({ name }) => name === 'update')!.isDefault).toBe(false);
    expect(report.choices.find(({ name }) => name === 'device')!.isDefault).toBe(true);
  });

  it('carries a micro-batch out, and tries none', () => {
    const update = (report: TrainExplainReport) => report.choices.find(({ name }) => name === 'update')!;
    const parts = explained('--micro-batch', '2');
    expect(valueOf(parts, 'micro-batch')).toBe('2 images');
    expect(update(parts)).toMatchObject({ value: '6 images', why: expect.stringMatching(/^2 in a run, 3 runs/) });
    expect(valueOf(explained('--micro-batch', 'auto'), 'micro-batch')).toBe('auto');
  });

  it('counts what runs in half precision, and needs no GPU to say what one would do', () => {
    const report = explained(
      ...['--device', 'cuda', '--precision', 'float16', '--nhwc', '--cuda-graphs', '--no-tf32', '--gpu-memory', '64'],
    );
    expect(report.gradient.halfMacs / report.gradient.macs).toBeGreaterThan(0.99);
    expect(report.gradient.cpuNodes).toBe(0);
    expect(valueOf(report, 'nodes on the CPU')).toBe('none');
    expect(report.gradient.casts).toBeGreaterThan(10);
    expect(valueOf(report, 'graph')).toBe('cuda');
    expect(valueOf(report, 'loss scale')).toBe('65536');
    expect(valueOf(report, 'TF32')).toBe('off');
    expect(valueOf(report, 'CUDA graphs')).toBe('on');
    expect(valueOf(report, 'layout on CUDA')).toBe('NHWC');
    expect(valueOf(report, 'device memory')).toBe('at most 64 MiB');
    expect(valueOf(report, 'losses read')).toBe('after every update');
    expect(valueOf(explained('--device', 'cuda', '--precision', 'bfloat16'), 'losses read')).toBe(
      'after every 10 updates',
    );
  });

  it('says what ranks begin with, what there is room for, and which layers stay', () => {
    const report = explained('--adapt-ranks', 'augmented', '--tolerance', '0.1', '--start-rank', '3');
    const { layers, kept } = report.ranks!;
    expect(layers.map(({ startRank, room }) => [startRank, room.rank, room.bases])).toEqual(
      layers.map(() => [3, 4, 8]),
    );
    for (const { rows, cols, mostRank } of layers) expect(mostRank).toBe(Math.floor(Math.min(rows, cols) / 2));
    expect(kept.map(({ reason }) => reason)).toEqual([
      'first layer (--no-keep-first factorizes it)',
      'last layer (--no-keep-last factorizes it)',
    ]);
    expect(report.choices.find(({ name }) => name === 'ranks')).toMatchObject({
      value: 'found by augmented',
      why: "a cut behind every 11 updates takes at most 0.1 of a layer's ‖σ‖₂",
    });
    const chosen = report.choices.find(({ name }) => name === 'rank at the start')!;
    expect(chosen).toMatchObject({ value: '3 3 3 3', isDefault: false });
    expect(chosen.why).toMatch(/^at most 3, as given; [\d.]+ % of the parameters in one piece$/);
    expect(valueOf(report, 'room for ranks')).toBe('4 4 4 4, for bases 8 8 8 8');
    expect(report.choices.find(({ name }) => name === 'layers adapted')).toMatchObject({
      value: `${layers.length} of ${layers.length + 2}`,
      why: expect.stringMatching(/^not \S+: first layer .*; not \S+: last layer /) as string,
    });
    const fixed = explained('--adapt-ranks', 'kls-fixed', '--exclude', '*block1*');
    expect(fixed.ranks!.layers.map(({ room }) => room.bases)).toEqual(fixed.ranks!.layers.map(({ room }) => room.rank));
    expect(fixed.ranks!.kept.some(({ reason }) => reason === 'excluded by --exclude')).toBe(true);
    expect(explained().ranks).toBeUndefined();
  });

  it('the options become those of sessions; defaults of onnxruntime are not repeated', () => {
    const settings = { ...defaultTrainSettings, device: 'cuda' } as const;
    const config = restBetweenRuns;
    expect(trainSessionOptions(defaultTrainSettings)).toEqual({ device: 'cpu', config });
    expect(trainSessionOptions(settings)).toEqual({ device: 'cuda', config, cuda: {} });
    const all = {
      ...settings,
      tf32: false,
      nhwc: true,
      convSearch: 'heuristic',
      gpuMemory: 2 ** 30,
      threads: 2,
    } as const;
    expect(trainSessionOptions(all)).toEqual({
      config,
      device: 'cuda',
      threads: 2,
      cuda: { useTf32: false, preferNhwc: true, cudnnConvAlgoSearch: 'HEURISTIC', gpuMemLimit: 2 ** 30 },
    });
  });

  it('options of CUDA are refused on the CPU, and --lr-find beside it, in one line', () => {
    const refused = (...words: string[]) => run('train', model, '--data', data, ...words);
    expectFailure(refused('--nhwc'), 'USAGE', /only CUDA knows this; --nhwc; give --device cuda/, 2);
    expectFailure(
      refused('--device', 'cuda', '--nhwc', '--precision', 'bfloat16'),
      'USAGE',
      /convolutions with the channels last have no bfloat16.*--nhwc.*--precision float16/,
      2,
    );
    expectFailure(refused('--cuda-graphs'), 'USAGE', /only CUDA knows this; --cuda-graphs/, 2);
    expectFailure(
      refused('--device', 'cuda', '--cuda-graphs', '--allow-cpu-nodes'),
      'USAGE',
      /a CUDA graph holds what runs on the GPU alone; --cuda-graphs; leave out --allow-cpu-nodes/,
      2,
    );
    expectFailure(refused('--no-tf32'), 'USAGE', /only CUDA knows this; --no-tf32/, 2);
    expectFailure(refused('--gpu-memory', '10'), 'USAGE', /only CUDA knows this; --gpu-memory/, 2);
    expectFailure(refused('--conv-search', 'default'), 'USAGE', /only CUDA knows this; --conv-search/, 2);
    expectFailure(refused('--explain', '--lr-find'), 'USAGE', /--lr-find and --explain together/, 2);
  });
});
