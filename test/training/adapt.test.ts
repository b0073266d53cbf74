import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { drawOrthonormalPairs } from '../../src/adapt/orthonormal-pairs.js';
import type { TrainReport } from '../../src/contracts/train.js';
import { convert } from '../../src/convert/usual-calls.js';
import { readModel } from '../../src/graph/read.js';
import { writeModel } from '../../src/graph/write.js';
import { merge } from '../../src/merge/merge.js';
import { PLAIN } from '../../src/report/terminal.js';
import { renderTrainTable } from '../../src/report/train-table.js';
import { createTrainProgress, type TrainStep } from '../../src/report/train-progress.js';
import { countParameters } from '../../src/rewrite/count.js';
import { readPairs } from '../../src/rewrite/pairs.js';
import { train } from '../../src/training/loop.js';
import type { TrainOptions, TrainSettings } from '../../src/training/options.js';
import { temporaryFolder } from '../support/command.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const data = join(folder, 'photos');
const model = join(folder, 'model.onnx');
/** 60 images: 5 updates an epoch. */
const common: Partial<TrainSettings> = {
  ...{ epochs: 2, batchSize: 12, lr: 0.05, augment: 'none', workers: 0, threads: 1, keepCheckpoints: 9 },
  ...{ adaptRanks: 'augmented', coefficientSteps: 3, tolerance: 0.3, keepFirst: false },
};

const outputOf = (name: string): string => join(folder, name, 'trained.onnx');

function run(
  name: string,
  settings: Partial<TrainSettings> = {},
  more: Partial<TrainOptions> = {},
): Promise<TrainReport> {
  mkdirSync(join(folder, name), { recursive: true });
  const { resume } = more;
  const told = resume === true ? {} : { settings: { ...common, ...settings } };
  return train({ model, output: outputOf(name), data, val: data, validatesStart: false, ...told, ...more });
}

/** Stopped behind an update, and gone on with. */
async function stoppedAt(
  name: string,
  settings: Partial<TrainSettings>,
  isThere: (step: TrainStep) => boolean,
): Promise<void> {
  const controller = new AbortController();
  const progress = {
    ...createTrainProgress({ stream: process.stderr, enabled: false }),
    step: (step: TrainStep) => {
      if (isThere(step)) controller.abort();
    },
  };
  const first = await run(name, settings, { signal: controller.signal, progress });
  expect(first.status).toBe('interrupted');
  expect((await run(name, settings, { resume: true })).status).toBe('finished');
}

const ranksOf = (path: string): number[] => {
  const opened = readModel(path);
  opened.file?.close();
  return readPairs(opened).map(({ rank }) => rank);
};

beforeAll(async () => {
  await writeTextures(data, 20, 1);
  writeFileSync(model, tinyClassifier());
});

describe('a training that finds its ranks', () => {
  it('cuts layers in one piece, says so, and writes an ordinary factorized model', async () => {
    const report = await run('whole', { epochs: 6 });
    const { adaptation, epochs } = report;
    expect(adaptation).toMatchObject({ method: 'augmented', tolerance: 0.3 });
    expect(adaptation!.layers.length).toBeGreaterThan(3);
    const written = epochs.find(({ epoch }) => epoch === report.written!.epoch)!;
    expect(ranksOf(outputOf('whole'))).toEqual(written.adaptation!.ranks);
    for (const { adaptation: found } of epochs) {
      expect(found!.singularValues.map(({ length }) => length)).toEqual(found!.ranks);
      found!.ranks.forEach((rank, at) => {
        expect(rank).toBeGreaterThanOrEqual(1);
        expect(rank).toBeLessThanOrEqual(
          Math.max(2, Math.floor(Math.min(adaptation!.layers[at]!.rows, adaptation!.layers[at]!.cols) / 2)),
        );
      });
    }
    const [first, last] = [epochs[0]!, epochs.at(-1)!];
    expect(last.loss).toBeLessThan(first.loss);
    expect(last.adaptation!.paramsShare).toBeLessThan(1);
    // The validation of an epoch is that of what is written.
    const again = await train({
      model: outputOf('whole'),
      output: join(folder, 'again.onnx'),
      data,
      val: data,
      settings: {
        ...common,
        adaptRanks: null,
        tolerance: null,
        coefficientSteps: 10,
        keepFirst: true,
        epochs: 1,
        lr: 1e-9,
      },
    });
    expect(again.start!.valLoss!).toBeCloseTo(written.valLoss!, 4);
    const merged = await merge(outputOf('whole'), { output: join(folder, 'merged.onnx'), all: true });
    expect(merged.merged.length).toBe(adaptation!.layers.length);
  });

  it('writes layers in one piece whose pairs would be no smaller, and goes on with them bit for bit', async () => {
    const settings = { adaptRanks: 'kls-fixed', tolerance: null, startRank: 7, maxRank: 7 } as const;
    const report = await run('one piece', settings);
    const output = outputOf('one piece');
    const { layers } = report.adaptation!;
    const found = report.epochs.at(-1)!.adaptation!;
    const whole = layers.filter(({ rows, cols }, at) => found.ranks[at]! * (rows + cols) >= rows * cols);
    expect(whole.length).toBeGreaterThan(0);
    expect(whole.length).toBeLessThan(layers.length);
    expect(found.inOnePiece).toEqual(whole.map(({ name }) => name));
    expect(ranksOf(output).length).toBe(layers.length - whole.length);
    const opened = [model, output].map((path) => readModel(path));
    const [before, after] = opened.map(({ graph }) => countParameters(graph));
    for (const { file } of opened) file?.close();
    expect(after).toBe(found.params);
    expect(after).toBeLessThan(before!);
    for (const { name } of whole) {
      const nodes = opened.map(({ graph }) => graph.nodes.find((node) => node.name === name)!);
      expect(nodes.map(({ opType }) => opType)).toEqual(['Conv', 'Conv']);
    }
    expect(renderTrainTable(report, PLAIN)).toMatch(
      new RegExp(`in one piece +${whole.length} layers?, whose pairs? would be no smaller: `),
    );
    // What is written computes what was validated, and trains on, with its pairs alone.
    const again = { ...settings, startRank: null, maxRank: null, keepFirst: true, epochs: 1, lr: 1e-9 };
    const further = await run('one piece again', again, { model: output, validatesStart: true });
    const written = report.epochs.find(({ epoch }) => epoch === report.written!.epoch)!;
    expect(further.start!.valLoss!).toBeCloseTo(written.valLoss!, 4);
    expect(further.adaptation!.layers.length).toBe(layers.length - whole.length);
    await stoppedAt('one piece stopped', settings, ({ epoch, step }) => epoch === 2 && step === 2);
    expect(readFileSync(outputOf('one piece stopped')).equals(readFileSync(output))).toBe(true);
  });

  it('begins from the pairs of a factorized model', async () => {
    const pairs = join(folder, 'pairs.onnx');
    await convert(model, { output: pairs, rankScale: 0.5, init: 'spectral', calibrate: 'none' });
    const report = await run('pairs', { keepFirst: true, tolerance: 0.01 }, { model: pairs });
    const most = report.adaptation!.layers.map(({ rows, cols }) => Math.max(2, Math.floor(Math.min(rows, cols) / 2)));
    expect(report.adaptation!.layers.map(({ startRank }) => startRank)).toEqual(
      ranksOf(pairs).map((rank, at) => Math.min(rank, most[at]!)),
    );
    const frozen = run('frozen factor', { keepFirst: true, freeze: ['*.v'] }, { model: pairs });
    await expect(frozen).rejects.toThrow(/the rank of '.*' is to be found, but '.*' is not trained/);
  });

  it('begins from pairs that were drawn, as plain pairs do', async () => {
    const pairs = join(folder, 'drawn.onnx');
    const drawn = readModel(tinyClassifier());
    await drawOrthonormalPairs(drawn, { startRank: 3, keepFirst: false });
    writeModel(drawn, pairs);
    const fixed = { adaptRanks: 'kls-fixed', tolerance: null, keepFirst: true, momentum: 0, epochs: 3 } as const;
    const [found, plain] = [
      await run('drawn', fixed, { model: pairs, validatesStart: true }),
      await run('plain', { ...fixed, adaptRanks: null, coefficientSteps: 10 }, { model: pairs, validatesStart: true }),
    ];
    expect(found.start!.valLoss!).toBeCloseTo(plain.start!.valLoss!, 4);
    expect(found.adaptation!.layers.map(({ startRank }) => startRank)).toEqual(ranksOf(pairs));
    for (const { epochs } of [found, plain]) expect(epochs.at(-1)!.loss).toBeLessThan(epochs[0]!.loss);
  });

  it.each([
    ['in the midst of a cycle', {}, ({ epoch, step }: TrainStep) => epoch === 1 && step === 2],
    ['behind a cycle', { coefficientSteps: 1 }, ({ epoch, step }: TrainStep) => epoch === 2 && step === 2],
    ['behind an epoch', {}, ({ epoch, step }: TrainStep) => epoch === 1 && step === 5],
    [
      'with averages and Adam',
      { ema: 0.9, optimizer: 'adam', lr: 0.005 },
      ({ epoch, step }: TrainStep) => epoch === 2 && step === 3,
    ],
    [
      'with several batches an update',
      { batchSize: 6, accumulate: 2 },
      ({ epoch, step }: TrainStep) => epoch === 1 && step === 2,
    ],
    ['with kls', { adaptRanks: 'kls', momentum: 0 }, ({ epoch, step }: TrainStep) => epoch === 1 && step === 2],
    ['with parallel', { adaptRanks: 'parallel' }, ({ epoch, step }: TrainStep) => epoch === 1 && step === 2],
    [
      'with kls-fixed',
      { adaptRanks: 'kls-fixed', tolerance: null, startRank: 2 },
      ({ epoch, step }: TrainStep) => epoch === 2 && step === 2,
    ],
  ] as const)('goes on bit for bit where it was stopped: %s', async (name, settings, isThere) => {
    const once = `${name}-once`;
    await run(once, settings);
    const stopped = `${name}-stopped`;
    await stoppedAt(stopped, settings, isThere);
    expect(readFileSync(outputOf(stopped)).equals(readFileSync(outputOf(once)))).toBe(true);
  });

  it('comes to the size that is asked for', async () => {
    for (const target of [{ targetParams: 0.7 }, { targetMacs: 0.6 }]) {
      const { epochs } = await run(`target ${Object.keys(target)[0]}`, {
        ...target,
        tolerance: null,
        epochs: 4,
        minRank: 1,
      });
      const { paramsShare, macsShare } = epochs.at(-1)!.adaptation!;
      if ('targetParams' in target) expect(paramsShare).toBeLessThanOrEqual(0.7);
      else expect(macsShare).toBeLessThanOrEqual(0.6);
      // Not much below it either.
      expect(Math.max(paramsShare, macsShare)).toBeGreaterThan(0.4);
    }
  });

  it('writes an epoch of the size that is asked for, though the larger ones before, or the start, were better', async () => {
    const whole = join(folder, 'whole-model.onnx');
    const told = { ...common, adaptRanks: null, tolerance: null, coefficientSteps: 10, keepFirst: true, epochs: 20 };
    await train({ model, output: whole, data, val: data, settings: told });
    // A rate that is too large.
    const settings = { targetParams: 0.35, tolerance: null, epochs: 4, minRank: 1, lr: 3 };
    const report = await run('of size', settings, { model: whole, validatesStart: true });
    const chosen = report.epochs.find(({ epoch }) => epoch === report.written!.epoch);
    expect(report.start!.valTop1).toBeGreaterThan(chosen!.valTop1!);
    expect(chosen!.adaptation!.paramsShare).toBeLessThanOrEqual(0.35);
    expect(report.best).toEqual({ epoch: chosen!.epoch, top1: chosen!.valTop1 });
    expect(ranksOf(outputOf('of size'))).toEqual(chosen!.adaptation!.ranks);
  });

  it('leaves what is frozen, and gives several batches one update', async () => {
    await run('frozen', { freeze: ['*.bn.bias'] });
    const weights = (path: string): Map<string, Float32Array> => {
      const opened = readModel(path);
      const found = opened.graph.initializers.map(({ name, tensor }) => [name, tensor!.toFloat32()] as const);
      opened.file?.close();
      return new Map(found);
    };
    const [before, after] = [weights(model), weights(outputOf('frozen'))];
    for (const [name, value] of before) if (name.endsWith('.bn.bias')) expect(after.get(name)).toEqual(value);
  });

  it('trains in emulated bfloat16', async () => {
    const report = await run('bfloat16', { precision: 'bfloat16', target: 'portable', epochs: 1 });
    expect(Number.isFinite(report.epochs[0]!.loss)).toBe(true);
  });

  it.each([
    [{ tolerance: 1 }, /tolerance is 1, which is out of range/],
    [{ tolerance: 0 }, /tolerance is 0, which is out of range/],
    [{ maxRank: 999 }, /a rank of 999 is more than any layer can have/],
    [{ startRank: 5, maxRank: 4 }, /the start, 5, is above the largest rank, 4/],
    [{ tolerance: null, targetParams: 0.01 }, /--target-params 0\.01 cannot be reached/],
    [{ tolerance: 0.1, targetMacs: 0.5 }, /the tolerance is what reaches the target/],
    [{ exclude: ['*'] }, /no layer is left whose rank could be found/],
    [{ adaptRanks: 'kls-fixed', tolerance: 0.1 }, /ranks that are fixed are not cut/],
    [{ frobeniusDecay: 0.1 }, /to decay the product is to decay the coefficients/],
    [{ freeze: ['*.weight'] }, /no layer is left whose rank could be found/],
    [{ adaptRanks: null }, /it says how ranks are found, and none are/],
    [{ lr: 1e30 }, /not finite|the loss is/],
  ] as const)('refuses %o', async (settings, fact) => {
    const name = `refused ${String(fact)}`.replaceAll(/[^a-z0-9]/gi, '-').slice(0, 40);
    await expect(run(name, settings as Partial<TrainSettings>)).rejects.toThrow(fact);
    expect(existsSync(outputOf(name))).toBe(false);
  });
});
