import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ConvertReport } from '../../src/contracts/convert.js';
import type { EvalReport } from '../../src/contracts/eval.js';
import { expectFailure, lowrank, run, temporaryFolder } from '../support/command.js';
import { hasShared, modelsFolder, sharedFolder } from '../support/shared.js';
import { until } from '../support/until.js';

const folder = temporaryFolder();
const cifar = join(sharedFolder, 'data/images/cifar10/test');
const model = join(modelsFolder, 'cifar10-resnet8-pt1.12-op13.onnx');
const cache = join(folder, 'cache');
const images = ['--normalization', 'cifar10', '--threads', '1'];
// Where the price of errors is measured, by the fit that takes least time; the tests of the curve say otherwise.
const weights = ['--calibrate', 'none', '--init', 'spectral'];
const valImages = 80;
const limits = ['--val-images', String(valImages), '--evaluations', '3'];
const words = ['convert', model, '--val', cifar, ...limits, ...images, ...weights];

function json(...more: readonly string[]): unknown {
  const { code, stdout, stderr } = run(...more, '--json', '--quiet');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

function convertTo(name: string, points: number, cacheFolder: string, ...more: readonly string[]): ConvertReport {
  const output = join(folder, name);
  const budget = ['--accuracy-budget', String(points), '--cache', cacheFolder];
  return json(...words, '-o', output, '--force', ...budget, ...more) as ConvertReport;
}

/** Names that the output's folder holds of it: nothing temporary is left. */
function namesOf(output: string): readonly string[] {
  return readdirSync(folder).filter((name) => name.includes(output));
}

describe.skipIf(!hasShared)('lowrank-convert --accuracy-budget', () => {
  it('writes the smallest model it found, whose drop is what lowrank-eval measures', () => {
    const report = convertTo('small.onnx', 25, cache);
    const budget = report.accuracyBudget!;
    const search = budget.trials.filter(({ purpose }) => purpose === 'search');
    const chosen = budget.trials[budget.chosen]!;
    expect(budget).toMatchObject({ points: 25, minimize: 'macs', data: cifar, images: valImages, cache });
    expect(budget.trials.every(({ isCached }) => !isCached)).toBe(true);
    expect(search.length).toBeLessThanOrEqual(4);
    expect(chosen.drop).toBeLessThanOrEqual(0.25);
    expect(chosen.macs).toBe(Math.min(...search.filter(({ drop }) => drop <= 0.25).map(({ macs }) => macs)));
    expect(chosen).toMatchObject({ sha256: report.output.sha256, macs: report.totals.macs.after });
    for (const layer of report.layers.filter(({ action }) => action === 'factorized')) {
      expect(chosen.ranks[layer.name]).toEqual({ rank: layer.rank, scheme: layer.scheme });
      expect(layer.reason).toBe('accuracy budget 25');
    }
    expect(report.settings).toMatchObject({ accuracyBudget: 25, val: cifar, valImages, ranks: null, cache });

    const evaluation = json(
      ...['eval', model, '--vs', join(folder, 'small.onnx'), '--data', cifar, '--limit', String(valImages), ...images],
    ) as EvalReport;
    expect(budget.original.top1).toBe(evaluation.top1);
    expect(chosen).toMatchObject({
      top1: evaluation.versus!.top1,
      drop: evaluation.versus!.difference,
      ci95: evaluation.versus!.ci95,
    });
    expect(namesOf('small.onnx')).toEqual(['small.onnx']);
  });

  it('evaluates nothing twice, whatever the output is called, and again what is damaged', () => {
    const first = readFileSync(join(folder, 'small.onnx'));
    const again = convertTo('again.onnx', 25, cache);
    expect(again.accuracyBudget!.trials.every(({ isCached }) => isCached)).toBe(true);
    expect(again.accuracyBudget!.original.isCached).toBe(true);
    expect(readFileSync(join(folder, 'again.onnx')).equals(first)).toBe(true);

    const files = readdirSync(cache);
    const text = readFileSync(join(cache, files[0]!), 'utf8');
    const broken = [text.slice(0, text.length / 2), text.replace('"predicted":[', '"predicted":[0,')];
    for (const content of broken) {
      writeFileSync(join(cache, files[0]!), content);
      const repaired = convertTo('again.onnx', 25, cache);
      const damage = expect.stringMatching(/cached evaluation .*\.json is damaged: evaluated again/);
      expect(repaired.warnings).toContainEqual(damage);
      expect(repaired.warnings).toHaveLength(again.warnings.length + 1);
      expect(readFileSync(join(folder, 'again.onnx')).equals(first)).toBe(true);
      expect(readFileSync(join(cache, files[0]!), 'utf8')).toBe(text);
    }
  });

  it('goes on with what a killed run had finished', async () => {
    const own = join(folder, 'own-cache');
    mkdirSync(own);
    const output = join(folder, 'killed.onnx');
    const budget = ['--accuracy-budget', '25', '--cache', own, '-o', output];
    const child = spawn(process.execPath, [lowrank, ...words, ...budget], { stdio: 'ignore' });
    const finished = (): number => readdirSync(own).filter((name) => /^[0-9a-f]{64}\.json$/.test(name)).length;
    await until(child, own, () => finished() >= 3);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const done = finished();
    expect(done).toBeGreaterThanOrEqual(3);
    expect(existsSync(output)).toBe(false);

    const resumed = convertTo('killed.onnx', 25, own).accuracyBudget!;
    const reused = [resumed.original, ...resumed.trials].filter(({ isCached }) => isCached).length;
    expect(reused).toBe(done);
    expect(readFileSync(output).equals(readFileSync(join(folder, 'small.onnx')))).toBe(true);
    expect(namesOf('killed.onnx')).toEqual(['killed.onnx']);
  });

  it('is interrupted: what was evaluated stays in the cache, and no file is written', async () => {
    const own = join(folder, 'interrupted-cache');
    mkdirSync(own);
    const output = join(folder, 'interrupted.onnx');
    const budget = ['--accuracy-budget', '25', '--cache', own, '-o', output];
    const child = spawn(process.execPath, [lowrank, ...words, ...budget], { stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (part: Buffer) => (stderr += part.toString()));
    const finished = (): readonly string[] => readdirSync(own).filter((name) => /^[0-9a-f]{64}\.json$/.test(name));
    await until(child, own, () => finished().length >= 2);
    child.kill('SIGINT');
    await once(child, 'close');
    expect({ code: child.exitCode, signal: child.signalCode }).toEqual({ code: 130, signal: null });
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(stderr).toMatch(
      /error\[ABORTED\]: interrupted after \d trials?, before one was within .*nothing was written/,
    );
    expect(namesOf('interrupted.onnx')).toEqual([]);
    expect(readdirSync(own)).toEqual(finished());
    expect(finished().length).toBeGreaterThanOrEqual(2);
  });

  it.skipIf(process.platform === 'win32')(
    'is interrupted where something is found: the best so far is written',
    async () => {
      const own = join(folder, 'best-cache');
      const output = join(folder, 'best.onnx');
      const budget = ['--accuracy-budget', '25', '--cache', own, '-o', output, '--evaluations', '6'];
      const interrupted = async (times: number): Promise<{ code: number | null; stdout: string; stderr: string }> => {
        const child = spawn(process.execPath, [lowrank, ...words, ...budget, '--json']);
        let [stdout, stderr] = ['', ''];
        child.stdout.on('data', (part: Buffer) => (stdout += part.toString()));
        child.stderr.on('data', (part: Buffer) => {
          stderr += part.toString();
          if (child.killed ? times > 1 && stderr.includes('interrupted') : / within 25;/.test(stderr))
            child.kill('SIGINT');
        });
        const [code] = (await once(child, 'close')) as [number | null];
        return { code, stdout, stderr };
      };
      const first = await interrupted(1);
      expect(first.code, first.stderr).toBe(130);
      const report = JSON.parse(first.stdout) as ConvertReport;
      const { trials, chosen, isInterrupted } = report.accuracyBudget!;
      expect(isInterrupted).toBe(true);
      expect(trials[chosen]).toMatchObject({ isWithinBudget: true, sha256: report.output.sha256 });
      expect(report.warnings).toContainEqual(
        expect.stringMatching(/^interrupted after \d+ of at most \d+ trials: the best so far was written; .* --force /),
      );
      expect(namesOf('best.onnx')).toEqual(['best.onnx']);

      rmSync(output);
      const second = await interrupted(2);
      expect(second.code).toBe(130);
      expect(JSON.parse(second.stdout)).toMatchObject({ error: { code: 'ABORTED' }, exitCode: 130 });
      expect(existsSync(output)).toBe(false);
      const tried = second.stderr.match(/^trial .*$/gm)!;
      expect(tried.filter((line) => line.includes('evaluated before'))).toEqual(tried.slice(0, trials.length));
    },
  );

  it('fits on images and is judged by others: fast where layers are tried, as it was asked for at the end', () => {
    const calibrate = ['--calibrate', join(sharedFolder, 'data/images/cifar10/train'), '--calibrate-images', '32'];
    const fits = [...calibrate, '--init', 'lfai-data'];
    const report = convertTo('data.onnx', 25, cache, ...fits, '--evaluations', '2');
    const { trials, chosen } = report.accuracyBudget!;
    expect(trials.map(({ init }) => init)).toEqual([...trials.slice(1).map(() => 'whitened'), 'lfai-data']);
    const best = trials[chosen]!;
    expect(best).toMatchObject({ sha256: report.output.sha256 });
    expect(best.drop).toBeLessThanOrEqual(0.25);
    expect(report.calibration).toMatchObject({ images: 32 });
    const factorized = report.layers.filter(({ action }) => action === 'factorized');
    expect(factorized.map(({ init }) => init)).toEqual(factorized.map(() => best.init));
    // The pairs are those of the trial: not fitted again.
    const fitted = factorized.reduce((sum, { seconds }) => sum + seconds, 0);
    expect(fitted).toBeLessThan(trials.at(-1)!.seconds / 5);
  });

  it('goes along the curve of what the outputs feel, where there are pictures: no price is measured', () => {
    const pictures = ['--calibrate', 'synthetic', '--calibrate-images', '32', '--init', 'whitened'];
    const { accuracyBudget, sensitivity, output } = convertTo('curve.onnx', 15, cache, ...pictures);
    const { trials, chosen } = accuracyBudget!;
    expect(sensitivity).toMatchObject({ by: 'gradients' });
    expect(trials.every(({ purpose }) => purpose === 'search')).toBe(true);
    expect(trials[chosen]).toMatchObject({ sha256: output.sha256 });
    expect(trials[chosen]!.drop).toBeLessThanOrEqual(0.15);
  });

  it('says in one line that the cache cannot be written', () => {
    const file = join(folder, 'a-file');
    writeFileSync(file, '');
    const output = join(folder, 'uncached.onnx');
    for (const place of [file, join(file, 'inside'), '/proc/self/fdinfo']) {
      const outcome = run(...words, '-o', output, '--accuracy-budget', '25', '--cache', place, '--quiet');
      expectFailure(outcome, 'OUTPUT', /--cache/);
      expect(outcome.stderr).toContain(place);
    }
    expect(namesOf('uncached.onnx')).toEqual([]);
  });

  it('takes the smallest of all for a budget of 100, in one evaluation of it and one before', () => {
    const { accuracyBudget, layers } = convertTo('least.onnx', 100, cache);
    const search = accuracyBudget!.trials.filter(({ purpose }) => purpose === 'search');
    expect(search).toHaveLength(2);
    const factorized = layers.filter(({ action }) => action === 'factorized');
    expect(factorized).toHaveLength(6);
    // The least that a budget by the weights alone leaves.
    for (const { rank, maxRank } of factorized) expect(rank).toBe(Math.ceil(maxRank / 32));
  });

  it('writes nothing where nothing is within the budget', () => {
    const output = join(folder, 'none.onnx');
    const outcome = run(
      ...words,
      '-o',
      output,
      '--accuracy-budget',
      '0',
      '--cache',
      cache,
      '--evaluations',
      '2',
      '--quiet',
    );
    expectFailure(outcome, 'NUMERIC', /no conversion within the accuracy budget of 0 points was found: the least/);
    expect(namesOf('none.onnx')).toEqual([]);
  });

  it('warns where the images are too few for the budget', () => {
    const { warnings, accuracyBudget } = convertTo('few.onnx', 25, cache, '--val-images', '10', '--evaluations', '2');
    expect(accuracyBudget!.isResolved).toBe(false);
    expect(warnings).toContainEqual(
      expect.stringMatching(/^10 images do not resolve the accuracy budget of 25 points: .*95 % interval/),
    );
  });

  it('shows every evaluation', () => {
    const budget = ['--accuracy-budget', '25', '--cache', cache];
    const { code, stdout, stderr } = run(...words, '-o', join(folder, 'shown.onnx'), ...budget);
    expect(code).toBe(0);
    const lines = stderr.split('\n');
    expect(lines[0]).toMatch(/^accuracy budget 25: the original has top-1 [\d.]+ %; at most 9 models on 80 images/);
    const trials = lines.filter((line) =>
      /^trial \d+: [\d.]+ % of MACs, .* layers? by spectral; top-1 .*, drop .*; /.test(line),
    );
    expect(trials).toHaveLength(stdout.match(/^ *\d+ +(sensitivity|written|within|beyond) /gm)!.length);
    expect(trials[0]).toMatch(/for the price of errors; .* s, evaluated before; at most .* left$/);
    expect(stdout.match(/^ *\d+ +sensitivity .* before$/gm)).toHaveLength(6);
    expect(stdout.match(/^ *\d+ +written .* before$/gm)).toHaveLength(1);
    expect(stdout).toMatch(/^accuracy +top-1 [\d.]+ % -> [\d.]+ %, drop .* points \(95 %: .*\) of 25 allowed/m);
  });

  it('refuses what makes no sense', () => {
    const output = ['-o', join(folder, 'never.onnx')];
    const refused = (message: RegExp, ...more: readonly string[]): void =>
      expectFailure(run('convert', model, ...output, ...more), 'USAGE', message, 2);
    refused(/--accuracy-budget needs labelled images/, '--accuracy-budget', '1');
    refused(/--val does nothing without --accuracy-budget/, '--val', cifar);
    refused(/--accuracy-budget -1 is not in \[0, 100\]/, '--accuracy-budget', '-1', '--val', cifar);
    refused(/--energy and --accuracy-budget contradict/, '--accuracy-budget', '1', '--val', cifar, '--energy', '0.9');
    refused(/--accuracy-budget and --reinit contradict/, '--accuracy-budget', '1', '--val', cifar, '--reinit');
    expectFailure(
      run('convert', model, ...output, ...weights, '--accuracy-budget', '1', '--val', join(folder, 'nowhere')),
      'INPUT',
      /nowhere/,
    );
  });
});
