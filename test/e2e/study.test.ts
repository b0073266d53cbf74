import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readStudyFile } from '../../src/cli/study-file.js';
import type { StudyReport } from '../../src/contracts/study.js';
import type { StudyProgress } from '../../src/report/study-progress.js';
import { runStudy } from '../../src/study/run.js';
import { expectFailure, lowrank, run, temporaryFolder, type Outcome } from '../support/command.js';
import { faultOf } from '../support/schemas.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';
import { until } from '../support/until.js';

const folder = temporaryFolder();

beforeAll(async () => {
  await writeTextures(join(folder, 'photos/train'), 24, 1);
  await writeTextures(join(folder, 'photos/val'), 12, 2);
  writeFileSync(join(folder, 'tiny.onnx'), tinyClassifier());
});

const usual = {
  architectures: '[tiny.onnx]',
  'rank-scales': '[0.25]',
  inits: '[spectral, lfai]',
  seeds: '1',
  data: 'photos',
  train: '{epochs: 2, batch-size: 12, lr: 0.1, threads: 1, workers: 0}',
};

let studies = 0;
/** A study file with these keys in place of the usual ones; undefined leaves a key out. */
function studyFile(keys: Readonly<Record<string, string | undefined>> = {}): string {
  const path = join(folder, `study-${++studies}.yaml`);
  const lines = Object.entries({ ...usual, ...keys }).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}: ${value}`],
  );
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

const folderOf = (file: string): string => file.replace('.yaml', '.study');
const words = (file: string, ...more: readonly string[]): string[] => ['study', file, '-o', folderOf(file), ...more];

function study(file: string, ...more: readonly string[]): StudyReport {
  const outcome = run(...words(file, '--json', ...more));
  expect(outcome.code, outcome.stderr).toBe(0);
  return JSON.parse(outcome.stdout) as StudyReport;
}

const cellFiles = (file: string): readonly string[] => readdirSync(join(folderOf(file), 'cells'));

/** Sends the signal as soon as a cell under way has a checkpoint of `step`. */
async function stopAt(step: number, signal: NodeJS.Signals, file: string): Promise<Outcome> {
  const child = spawn(process.execPath, [lowrank, ...words(file, '--json')], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
  const timer = setInterval(() => {
    if (!checkpointSteps(file).some((done) => done >= step)) return;
    clearInterval(timer);
    child.kill(signal);
  }, 2);
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearInterval(timer);
  return { code, stdout, stderr };
}

function checkpointSteps(file: string): readonly number[] {
  const work = join(folderOf(file), 'work');
  if (!existsSync(work)) return [];
  return readdirSync(work).flatMap((id) => {
    const checkpoints = join(work, id, 'trained.onnx.checkpoints');
    if (!existsSync(checkpoints)) return [];
    return readdirSync(checkpoints).flatMap((name) => (name.startsWith('step-') ? [Number(name.slice(5))] : []));
  });
}

/** What two runs of the same study agree in, bit for bit. */
const results = ({ cells }: StudyReport): unknown =>
  cells.map(({ id, status, top1, loss, trainLoss, functionError }) => [
    id,
    status,
    top1,
    loss,
    trainLoss,
    functionError,
  ]);

describe('lowrank study', () => {
  it('trains the grid, reports it as text, JSON and a page, and runs no finished cell again', () => {
    const file = studyFile({
      'rank-scales': '[0.25, 0.5]',
      seeds: '2',
      'full-rank': 'true',
      regularizers: '[{weight-decay: 1e-4}, {frobenius-decay: 1e-4}]',
      train: '{epochs: 1, batch-size: 12, lr: 0.1, threads: 1, workers: 0}',
    });
    const report = study(file);
    expect(report).toMatchObject({ schema: 'lowrank.study/1', status: 'finished', compareTo: 'spectral' });
    // 2 regularizers × 2 seeds × (2 scales × 2 inits + full rank); the full-rank runs of both regularizers are one.
    expect(report.cells).toHaveLength(20);
    expect(report.counts).toMatchObject({ cells: 18, finished: 18, reused: 0, failed: 0 });
    expect(report.regularizers.map(({ name }) => name)).toEqual(['weight decay 0.0001', 'Frobenius decay 0.0001']);
    expect(report.groups).toHaveLength(10);
    expect(report.groups.every(({ n }) => n === 2)).toBe(true);
    // Per regularizer one init against spectral, at two scales and over both.
    expect(report.differences.map(({ rankScale, n }) => [rankScale, n])).toEqual([
      [0.25, 2],
      [0.5, 2],
      [null, 4],
      [0.25, 2],
      [0.5, 2],
      [null, 4],
    ]);
    for (const cell of report.cells) {
      expect(cell.top1).toBeGreaterThan(0);
      expect(cell.params!.ratio).toBe(cell.init === null ? 1 : cell.params!.after / cell.params!.before);
    }
    const low = report.cells.filter(({ init }) => init !== null);
    expect(low.every(({ params, functionError }) => params!.ratio < 1 && functionError! > 0)).toBe(true);
    const page = readFileSync(join(folderOf(file), 'study.html'), 'utf8');
    expect(page).toContain('tiny, Frobenius decay 0.0001');
    expect(JSON.parse(readFileSync(join(folderOf(file), 'study.json'), 'utf8'))).toEqual(report);
    expect(readdirSync(join(folderOf(file), 'work'))).toEqual([]);

    const again = study(file);
    expect(again.counts).toMatchObject({ cells: 18, finished: 18, reused: 18 });
    expect(results(again)).toEqual(results(report));
    const text = run(...words(file));
    expect(text.stdout).toMatch(/18 of 18 cells finished/);
    expect(text.stderr).toMatch(/^18 of 18 cells are finished already$/m);
  });

  it('goes on in the middle of a cell after SIGKILL and after Ctrl-C, to the same numbers', async () => {
    const settings = '{epochs: 3, batch-size: 12, lr: 0.1, threads: 1, workers: 0, checkpoint-every: 2}';
    const whole = study(studyFile({ train: settings }));
    const file = studyFile({ train: settings });
    const killed = await stopAt(4, 'SIGKILL', file);
    expect(killed.stdout).toBe('');
    expect(cellFiles(file)).toHaveLength(0);
    const interrupted = await stopAt(10, 'SIGINT', file);
    expect(interrupted.code).toBe(130);
    const partial = JSON.parse(interrupted.stdout) as StudyReport;
    expect(partial.status).toBe('interrupted');
    expect(partial.counts.pending).toBeGreaterThan(0);
    expect(run(...words(file, '--plan')).stdout).toMatch(/of 2 cells finished, . to do/);
    const report = study(file);
    expect(report.counts).toMatchObject({ finished: 2, pending: 0 });
    expect(results(report)).toEqual(results(whole));
  });

  it('keeps what still applies where the file or the images changed, and says what does not', async () => {
    const pictures = join(folder, 'changing');
    await writeTextures(join(pictures, 'train'), 12, 3);
    await writeTextures(join(pictures, 'val'), 6, 4);
    const train = '{epochs: 1, batch-size: 12, lr: 0.1, threads: 1, workers: 0}';
    const file = studyFile({ inits: '[spectral, baseline]', data: 'changing', train });
    study(file);
    const text = readFileSync(file, 'utf8').replace('baseline', 'lfai');
    writeFileSync(file, text);
    const outcome = run(...words(file, '--json'));
    expect(outcome.stderr).toMatch(/1 of 2 cells are finished already; 1 of other settings or images stay/);
    const report = JSON.parse(outcome.stdout) as StudyReport;
    expect(report.counts).toMatchObject({ cells: 2, finished: 2, reused: 1, unasked: 1 });
    writeFileSync(file, text.replace('lr: 0.1', 'lr: 0.05'));
    expect(study(file, '--plan').counts).toMatchObject({ finished: 0, pending: 2, unasked: 3 });
    writeFileSync(file, text.replace('threads: 1', 'threads: 2'));
    expect(study(file, '--plan').counts).toMatchObject({ finished: 2, pending: 0 });
    await writeTextures(join(pictures, 'val'), 6, 5);
    expect(study(file, '--plan').counts).toMatchObject({ finished: 0, pending: 2 });
  });

  it('gives the options of sampled fits to those that sample', () => {
    const train = '{epochs: 1, batch-size: 12, lr: 0.1, threads: 1, workers: 0}';
    const file = studyFile({ inits: '[spectral, lfai-ws-adam]', convert: '{fit-steps: 3, scheme: spatial}', train });
    const report = study(file);
    expect(report.counts.finished).toBe(2);
    const other = readFileSync(file, 'utf8').replace('fit-steps: 3', 'fit-steps: 4');
    writeFileSync(file, other);
    expect(study(file, '--plan').cells.map(({ status }) => status)).toEqual(['finished', 'pending']);
  });

  it('says what to change in its file where a cell cannot be trained', () => {
    const file = studyFile({
      architectures: '[lenet5]',
      inits: '[spectral]',
      retries: '0',
      train:
        '{preset: imagenet-efficientnet, optimizer: sgd, nesterov: true, warmup: 0, epochs: 1, batch-size: 12, workers: 0}',
    });
    const { code, stdout } = run(...words(file, '--json'));
    expect(code).toBe(1);
    const report = JSON.parse(stdout) as StudyReport;
    expect(report.cells[0]!.reason).toMatch(/a drop path of 0.2 has no place: .*; give train.drop-path 0$/);
  });

  it('tries a failed cell again, goes on without it, names it, and trains it in the next run', () => {
    const file = studyFile();
    const [first] = study(file, '--plan').cells;
    const obstacle = join(folderOf(file), 'work', first!.id);
    writeFileSync(obstacle, '');
    const outcome = run(...words(file, '--json'));
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(
      /^tiny, rank scale 0.25, spectral, weight decay 0.0001, seed 0 failed and is tried again/m,
    );
    const report = JSON.parse(outcome.stdout) as StudyReport;
    expect(report.status).toBe('failed');
    expect(report.cells.map(({ status }) => status)).toEqual(['failed', 'finished']);
    expect(report.warnings[0]).toMatch(/tiny, rank scale 0.25, spectral.*failed/);
    rmSync(obstacle);
    expect(study(file).counts).toMatchObject({ finished: 2, failed: 0, reused: 1 });
  });

  describe('treatments', () => {
    const treated = {
      treatments: '[labels, recovery, recovery-then-labels]',
      inits: '[spectral]',
      train: '{epochs: 1, batch-size: 12, lr: 0.01, threads: 1, workers: 0}',
      recover: '{steps: 6, batch-size: 8, lr: 0.003, match: features}',
    };

    it('are compared on the same starts: labels, the original, and both', () => {
      const file = studyFile(treated);
      const report = study(file);
      expect(faultOf(report)).toBe(undefined);
      expect(report.treatments).toEqual(['labels', 'recovery', 'recovery-then-labels']);
      expect(report.settings.recover).toMatchObject({ steps: 6, match: 'features' });
      expect(report.counts).toMatchObject({ cells: 3, finished: 3, failed: 0 });
      for (const { treatment, top1, loss, recovery, epochs } of report.cells) {
        expect(top1).toBeGreaterThanOrEqual(0);
        expect(loss).toBeGreaterThan(0);
        expect(epochs).toBe(treatment === 'recovery' ? 0 : 1);
        if (treatment === 'labels') expect(recovery).toBe(undefined);
        else {
          expect(recovery!.written.loss).toBeLessThanOrEqual(recovery!.start.loss);
          expect(recovery).toMatchObject({ lr: 0.003, images: 48, heldOut: 12 });
        }
      }
      const starts = report.cells.flatMap(({ recovery }) => (recovery === undefined ? [] : [recovery.start.loss]));
      expect(new Set(starts).size).toBe(1);
      expect(report.treatmentDifferences!.map(({ treatment, against, n }) => [treatment, against, n])).toEqual([
        ['recovery', 'labels', 1],
        ['recovery-then-labels', 'labels', 1],
      ]);
      const page = readFileSync(join(folderOf(file), 'study.html'), 'utf8');
      expect(page).toContain('What the treatments bring');
      const { stdout } = run(...words(file));
      expect(stdout).toMatch(/^tiny +recovery-then-labels .*agreement [\d.]+ → [\d.]+ %, loss/m);
      expect(stdout).toContain('minus labels, paired by start and seed');
    });

    it('come to one size by pairs from the start, by ranks that are found, and behind an epoch in full rank', () => {
      const file = studyFile({
        ...{ treatments: '[labels, adapt-ranks, warmup-full]', inits: '[spectral]', 'warmup-full': '1' },
        train: '{epochs: 2, batch-size: 12, lr: 0.01, threads: 1, workers: 0}',
        adapt: '{coefficient-steps: 2, min-rank: 1}',
      });
      const report = study(file);
      expect(faultOf(report)).toBe(undefined);
      expect(report.cells.map(({ treatment, epochs }) => [treatment, epochs])).toEqual([
        ['labels', 2],
        ['adapt-ranks', 2],
        ['warmup-full', 2],
      ]);
      expect(report.settings.adapt).toEqual({ coefficientSteps: 2, minRank: 1 });
      expect(new Set(report.cells.map(({ params }) => params?.after)).size).toBe(1);
      expect(report.treatmentDifferences!.map(({ treatment }) => treatment)).toEqual(['adapt-ranks', 'warmup-full']);
      expect(study(file).counts).toMatchObject({ finished: 3, reused: 3 });
    });

    it('are recovered without regularizers, and trained at full rank on labels alone', () => {
      const regularizers = '[{weight-decay: 1e-4}, {weight-decay: 1e-3}]';
      const { cells, counts } = study(studyFile({ ...treated, 'full-rank': 'true', regularizers }), '--plan');
      expect(cells.filter(({ init }) => init === null).map(({ treatment }) => treatment)).toEqual(['labels', 'labels']);
      expect(cells.filter(({ treatment }) => treatment === 'recovery')).toHaveLength(2);
      expect(counts.cells).toBe(7);
    });

    it('are a part of what a cell is: others are trained where the recovery changes, and only these', () => {
      const file = studyFile({ ...treated, treatments: '[labels, recovery]' });
      expect(study(file).counts).toMatchObject({ cells: 2, finished: 2 });
      const text = readFileSync(file, 'utf8');
      writeFileSync(file, text.replace('steps: 6', 'steps: 7'));
      expect(study(file, '--plan').cells.map(({ status }) => status)).toEqual(['finished', 'pending']);
      writeFileSync(file, text.replace('epochs: 1', 'epochs: 2'));
      expect(study(file, '--plan').cells.map(({ status }) => status)).toEqual(['pending', 'finished']);
      writeFileSync(file, text.replace('[labels, recovery]', 'labels').replace(/^recover:.*$/m, ''));
      // Weights that are drawn are other starts.
      expect(study(file, '--plan').cells.map(({ status }) => status)).toEqual(['pending']);
    });

    it('begin again where a recovery was interrupted, to the same numbers', async () => {
      const read = (file: string) => readStudyFile(file, {});
      const keys = { ...treated, treatments: 'recovery-then-labels' };
      const [whole, parts] = [studyFile(keys), studyFile(keys)];
      const stop = new AbortController();
      const progress = (stopAt: number): StudyProgress => ({
        cell: () => ({
          ...{ validating: () => {}, epoch: () => {}, done: () => {}, note: () => {} },
          step: ({ step }) => {
            if (step === stopAt) stop.abort();
          },
        }),
        ...{ done: () => {}, note: () => {}, clear: () => {} },
      });
      const first = { folder: folderOf(parts), progress: progress(3), signal: stop.signal };
      const interrupted = await runStudy(await read(parts), first);
      expect(interrupted.status).toBe('interrupted');
      expect(interrupted.counts).toMatchObject({ finished: 0, pending: 1 });
      const [again, once_] = [study(parts), study(whole)];
      expect(results(again)).toEqual(results(once_));
      expect(again.cells[0]!.recovery).toEqual(once_.cells[0]!.recovery);
    });
  });

  it('reports divergence as a result', () => {
    const file = studyFile({ train: '{epochs: 2, batch-size: 12, lr: 1e30, threads: 1, workers: 0}' });
    const report = study(file);
    expect(report.status).toBe('finished');
    expect(report.counts).toMatchObject({ diverged: 2, failed: 0 });
    for (const cell of report.cells) {
      expect(cell).toMatchObject({ status: 'diverged', top1: null });
      expect(cell.reason).toMatch(/the loss is NaN|not finite/);
    }
    expect(report.groups[0]).toMatchObject({ n: 0, diverged: 1, mean: null });
    expect(study(file).counts).toMatchObject({ diverged: 2, reused: 2 });
  });

  it('lets one study at a time into a folder', async () => {
    const file = studyFile({
      train: '{epochs: 3, batch-size: 12, lr: 0.1, threads: 1, workers: 0, checkpoint-every: 1}',
    });
    const child = spawn(process.execPath, [lowrank, ...words(file)], { stdio: 'ignore' });
    const ended = once(child, 'close');
    await until(child, folderOf(file), () => existsSync(join(folderOf(file), 'study.lock')));
    const second = run(...words(file));
    child.kill('SIGTERM');
    await ended;
    expectFailure(second, 'OUTPUT', /process \d+ .*study\.lock/);
  });

  it('refuses a folder that is no study, without touching it', () => {
    const file = studyFile();
    mkdirSync(folderOf(file));
    writeFileSync(join(folderOf(file), 'thesis.txt'), 'mine');
    expectFailure(run(...words(file)), 'OUTPUT', /something else than a study/);
    expect(readdirSync(folderOf(file))).toEqual(['thesis.txt']);
  });

  it.each([
    [{ architectures: undefined }, /no 'architectures'/],
    [{ data: undefined }, /no 'data'/],
    [{ arhcitectures: '[resnet18]' }, /unknown key 'arhcitectures'.*did you mean 'architectures'/],
    [{ architectures: '[resnet19]' }, /no architecture 'resnet19'.*key 'architectures\[0\]'.*did you mean 'resnet/],
    [{ architectures: '[{model: resnet18, trian: {}}]' }, /unknown key 'architectures\[0\]\.trian'/],
    [{ architectures: '[{model: resnet18, train: {lr: fast}}]' }, /key 'architectures\[0\]\.train\.lr'/],
    [{ architectures: '[{model: resnet18, hidden: "40,40"}]' }, /the hidden layers of resnet18 are as published/],
    [{ architectures: '[{model: tiny.onnx, hidden: "40,40"}]' }, /hidden belongs to architectures that are created/],
    [{ architectures: '[{model: mlp, hidden: wide}]' }, /hidden is 'wide'/],
    [{ architectures: '[{model: mlp, adapt: {tolerance: 2}}]' }, /key 'architectures\[0\]\.adapt\.tolerance'/],
    [{ architectures: '[{model: mlp, adapt: {tolerance: 0.1}}]' }, /no training is of the treatment 'adapt-ranks'/],
    [{ train: '{decay-at: soon, schedule: step}' }, /decay-at is 'soon'/],
    [{ train: '{epoch: 3}' }, /unknown key 'train\.epoch'.*did you mean 'epochs'/],
    [{ train: '{seed: 3}' }, /unknown key 'train\.seed'/],
    [{ train: '[1]' }, /key 'train'/],
    [{ convert: '{init: lfai}' }, /unknown key 'convert\.init'/],
    [{ 'rank-scales': '[0.1, 1.5]' }, /1\.5 is out of range.*key 'rank-scales\[1\]'/],
    [{ 'rank-scales': '[0]' }, /0 is out of range.*key 'rank-scales\[0\]'/],
    [{ 'rank-scales': '[]' }, /list is empty.*key 'rank-scales'/],
    [{ inits: '[lfai, spectrall]' }, /'spectrall' is not a choice.*key 'inits\[1\]'.*did you mean 'spectral'/],
    [{ inits: '[whitened]' }, /'whitened' is not a choice.*key 'inits\[0\]'/],
    [{ inits: '[lfai, lfai]' }, /'lfai' is there twice.*key 'inits'/],
    [{ regularizers: '[{weight-decay: -1}]' }, /key 'regularizers\[0\]\.weight-decay'/],
    [{ regularizers: '[1e-4]' }, /not a mapping.*key 'regularizers\[0\]'/],
    [{ seeds: '0' }, /0 is out of range.*key 'seeds'/],
    [{ 'compare-to': 'baseline' }, /'baseline' is not a choice.*key 'compare-to'/],
    [{ train: '{momentum: 1}' }, /1 is out of range.*key 'train\.momentum'/],
    [{ train: '{epochs: 3' }, /not valid YAML.*line/],
    [{ treatments: '[recover]' }, /'recover' is not a choice.*key 'treatments\[0\]'.*did you mean 'recovery'/],
    [{ treatments: '[recovery, recovery]' }, /'recovery' is there twice.*key 'treatments'/],
    [{ adapt: '{min-rank: 1}' }, /no training is of the treatment 'adapt-ranks'.*key 'adapt'/],
    [{ 'warmup-full': '2' }, /no training is of the treatment 'warmup-full'.*key 'warmup-full'/],
    [{ recover: '{steps: 5}' }, /nothing is recovered.*key 'recover'.*treatments/],
    [{ treatments: 'recovery', recover: '{teacher: x}' }, /unknown key 'recover\.teacher'/],
    [{ treatments: 'recovery', recover: '{match: all}' }, /'all' is not a choice.*key 'recover\.match'/],
    [{ treatments: 'recovery', 'full-rank': 'true' }, /at full rank nothing is lost.*key 'full-rank'.*labels/],
    [{ treatments: 'recovery', architectures: '[lenet5]' }, /fresh weights.*architecture 'lenet5'.*trained .onnx/],
  ])('refuses %o in one line', (keys, words_) => {
    expectFailure(run(...words(studyFile(keys))), 'USAGE', words_, 2);
  });

  it('refuses missing images and models before it trains anything', () => {
    const noImages = studyFile({ data: 'nowhere' });
    expectFailure(run(...words(noImages)), 'INPUT', /nowhere/);
    const noModel = studyFile({ architectures: '[missing.onnx]' });
    expectFailure(run(...words(noModel)), 'INPUT', /there is no model .*missing\.onnx/);
    expectFailure(run('study', join(folder, 'none.yaml')), 'INPUT', /study file cannot be read/);
  });
});
