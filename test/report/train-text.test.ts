import { describe, expect, it } from 'vitest';
import { renderEvalTable } from '../../src/report/eval-table.js';
import { comparisonVerdict, mostConfused, pointsText } from '../../src/report/eval-text.js';
import { PLAIN } from '../../src/report/terminal.js';
import { displayWidth, printable } from '../../src/report/text.js';
import { bestEpoch, type TrainReport } from '../../src/contracts/train.js';
import { trainVerdict } from '../../src/report/train-verdict.js';
import { createProgress } from '../../src/report/progress.js';
import { createTrainProgress, epochLine, startLine, type TrainStep } from '../../src/report/train-progress.js';
import { renderTrainTable } from '../../src/report/train-table.js';
import { evalReport, trainReport } from './support/train-report.js';

const HOSTILE = 'a\u001B[2Jb\u202E\n<script>';

function stream(
  columns: number,
  isTTY: boolean,
): { isTTY: boolean; columns: number; text: string[]; write(text: string): void } {
  const text: string[] = [];
  return { isTTY, columns, text, write: (line) => text.push(line) };
}

const STEP: TrainStep = {
  epoch: 3,
  epochs: 90,
  step: 150,
  steps: 300,
  loss: 0.43214,
  top1: 0.88,
  imagesPerSecond: 120.4,
  dataWaitShare: 0.012,
};

describe('createTrainProgress', () => {
  it('shows everything where there is room, and the time left of the whole run', () => {
    const output = stream(120, true);
    let time = 0;
    const progress = createTrainProgress({ stream: output, enabled: true, now: () => time });
    progress.step({ ...STEP, epoch: 1, step: 0 });
    time = 75_000;
    // 750 of 27,000 updates in 75 s: 26,250 more take 2,625 s.
    progress.step(STEP);
    expect(output.text.at(-1)).toBe(
      '\r\u001B[Kepoch 3/90  [######------]  150/300  loss 0.4321  top-1 88.0 %  120 img/s  wait 1.2 %  43 min 45 s left',
    );
    progress.done();
    expect(output.text.at(-1)).toBe('\r\u001B[K');
  });

  it('shows that it prepares, around notes, until there is a step', () => {
    const output = stream(80, true);
    const shared = { stream: output, enabled: true, now: () => 0 };
    const preparing = { progress: createProgress(shared), detail: 'm.onnx' };
    const progress = createTrainProgress({ ...shared, preparing });
    const line = '\r\u001B[Kpreparing [------------------------] 0/1  m.onnx';
    expect(output.text).toEqual([line]);
    progress.note('images: …');
    expect(output.text.slice(1)).toEqual(['\r\u001B[K', 'images: …\n', line]);
    progress.validating(0, 1, 0, 8);
    progress.note('epoch 0/1');
    progress.done();
    expect(output.text.slice(4).filter((text) => text.includes('preparing'))).toEqual([]);
  });

  it('counts the time left of a resumed run from where it went on', () => {
    const output = stream(200, true);
    let time = 0;
    const progress = createTrainProgress({ stream: output, enabled: true, now: () => time });
    progress.step({ ...STEP, epoch: 89, step: 300 });
    time = 10_000;
    progress.step({ ...STEP, epoch: 90, step: 100 });
    expect(output.text.at(-1)).toContain('20 s left');
  });

  it.each([20, 40, 60, 80, 100])('fits into %d columns, the least important parts gone', (columns) => {
    const output = stream(columns, true);
    let time = 0;
    const progress = createTrainProgress({ stream: output, enabled: true, now: () => time });
    progress.step({ ...STEP, step: 0 });
    time = 60_000;
    progress.step(STEP);
    progress.validating(3, 90, 10, 62);
    const lines = output.text.map((frame) => frame.replace('\r\u001B[K', ''));
    for (const line of lines) expect(displayWidth(line)).toBeLessThan(columns);
    expect(lines[1]).toContain('epoch 3/90');
    if (columns >= 40) expect(lines[1]).toContain('loss 0.4321');
    if (columns >= 80) expect(lines[1]).toMatch(/top-1 88.0 %  120 img\/s  wait 1.2 % .* left$/);
    expect(lines.at(-1)).toContain('epoch 3/90');
  });

  it('writes one line an epoch to a file, and nothing live', () => {
    const output = stream(80, false);
    const progress = createTrainProgress({ stream: output, enabled: true });
    const { epochs } = trainReport();
    progress.step(STEP);
    progress.validating(1, 30, 1, 2);
    progress.epoch(epochs[0]!, 30);
    progress.note('a note');
    progress.done();
    expect(output.text).toEqual([`${epochLine(epochs[0]!, 30)}\n`, 'a note\n']);
    expect(output.text[0]).toMatch(
      /^epoch {2}1\/30 {2}loss \d\.\d{4} {2}top-1 [\d.]+ % {2}val loss \d\.\d{4} {2}val top-1 [\d.]+ % {2}val top-5 [\d.]+ % {2}lr 0\.0997 {2}\d+ img\/s {2}data wait [\d.]+ % {2}1 min 24 s\n$/,
    );
  });

  it('has a line for what was measured before training', () => {
    expect(startLine({ valLoss: 2.31, valTop1: 0.1, valTop5: null }, 30)).toBe(
      'epoch  0/30  before training  val loss 2.3100  val top-1 10.0 %',
    );
    expect(startLine({ valLoss: null, valTop1: 0.1, valTop5: 0.5 }, 4)).toBe(
      'epoch 0/4  before training  val top-1 10.0 %  val top-5 50.0 %',
    );
  });

  it('removes the live line before an epoch line, and writes nothing where not enabled', () => {
    const output = stream(80, true);
    const progress = createTrainProgress({ stream: output, enabled: true });
    progress.step(STEP);
    progress.epoch(trainReport().epochs[0]!, 30);
    expect(output.text[1]).toBe('\r\u001B[K');
    expect(output.text[2]).toMatch(/^epoch {2}1\/30.*\n$/);
    const silent = stream(80, true);
    const nothing = createTrainProgress({ stream: silent, enabled: false });
    nothing.step(STEP);
    nothing.epoch(trainReport().epochs[0]!, 30);
    nothing.note('a');
    nothing.done();
    expect(silent.text).toEqual([]);
  });
});

describe('bestEpoch', () => {
  it('is that of the highest validation top-1, of equals that of the smallest loss, of these the earliest', () => {
    const measured = (...pairs: readonly (readonly [number | null, number | null])[]): TrainReport['best'] =>
      bestEpoch(
        trainReport({ epochs: pairs.length }).epochs.map((epoch, index) => {
          const [valTop1, valLoss] = pairs[index]!;
          return Object.assign({}, epoch, { valTop1, valLoss });
        }),
      );
    expect(measured([0.5, 1], [0.7, 2], [null, null], [0.7, 2], [0.6, 0.1])).toEqual({ epoch: 2, top1: 0.7 });
    expect(measured([0.7, 2], [0.7, 1.5], [0.7, 1.8])).toEqual({ epoch: 2, top1: 0.7 });
    expect(bestEpoch(trainReport({ hasValidation: false }).epochs)).toBeNull();
  });
});

const isEpoch = (line: string): boolean => /^ +[1-9]\d* +\d\.\d{4}/.test(line);
const red = '\u001B[31m';

describe('renderTrainTable', () => {
  it('says which epoch was written, how good it is, and where the last one is', () => {
    const report = trainReport({ epochs: 5 });
    const last = report.epochs.at(-1)!;
    const best = { epoch: 3, top1: 0.91 };
    const text = renderTrainTable({ ...report, best, written: { ...report.written!, epoch: 3, valTop1: 0.91 } }, PLAIN);
    expect(text).toMatch(
      /^written {5}out\/resnet18-trained\.onnx, 21\.4 MB: epoch 3, the best of 5: top-1 91\.0 % on the validation images/m,
    );
    const top1 = (100 * last.valTop1!).toFixed(1);
    expect(text).toContain(`last epoch  epoch 5, top-1 ${top1} %: the checkpoint ${report.checkpoint!.path}`);
    expect(renderTrainTable(trainReport({ epochs: 5, hasValidation: false }), PLAIN)).toMatch(
      /^written .*: epoch 5, the last: there are no validation images to choose by$/m,
    );
  });

  it('says in red what is worse than before training, with what to try', () => {
    const terminal = { columns: undefined, hasColors: true };
    const worse = renderTrainTable(trainReport({ startTop1: 0.99 }), terminal);
    const line = worse.split('\n').find((each) => each.startsWith(red))!;
    expect(line).toMatch(
      /worse than before training: top-1 8\d\.\d % after epoch \d+, 1\d\.\d\d points below the 99\.0 % before; try a lower --lr than 0\.1 \(--lr-find suggests one\), --augment none, or more images/,
    );
    expect(renderTrainTable(trainReport(), terminal)).not.toContain(red);
    const same = trainReport({ epochs: 3 });
    const equal = trainReport({ epochs: 3, startTop1: same.best!.top1 });
    expect(equal.verdict).toMatchObject({ level: 'same' });
    expect(renderTrainTable(equal, PLAIN)).toMatch(/^no better than before training: top-1 .*; try the learning rate/m);
    expect(trainVerdict(same.start, same.best, { lr: 3, augment: 'none' })).toMatchObject({
      level: 'better',
      advice: null,
    });
    expect(trainVerdict({ ...same.start!, valTop1: 1 }, same.best, { lr: 3, augment: 'none' })!.advice).toMatch(
      /^try a lower --lr than 3 \(--lr-find suggests one\), or more images/,
    );
  });

  it('says what an interrupted training has saved, and the command that goes on, on a line that can be copied', () => {
    const report: TrainReport = {
      ...trainReport({ epochs: 3 }),
      status: 'interrupted',
      reason: 'stopped by the user',
      output: null,
      written: null,
      checkpoint: { path: 'o.onnx.checkpoints/step-000000917', epoch: 3, steps: 917 },
      resume: "lowrank train 'my model.onnx' -o o.onnx --resume",
    };
    const terminal = { columns: 40, hasColors: false };
    expect(renderTrainTable(report, terminal)).toMatch(
      /\n\ngo on with:\n {2}lowrank train 'my model.onnx' -o o.onnx --resume\n$/,
    );
    expect(renderTrainTable(report, PLAIN)).toContain(
      'saved       3 whole epochs, 917 updates: the checkpoint o.onnx.checkpoints/step-000000917\n',
    );
    const { resume: _, ...unsaved } = report;
    const nothing = renderTrainTable({ ...unsaved, epochs: [], best: null, checkpoint: null }, PLAIN);
    expect(nothing).toMatch(/^saved {7}nothing: no update was done$/m);
    expect(nothing).toContain(`begin again with:\n  ${report.command}\n`);
  });

  it('holds every epoch of a short run, the best marked', () => {
    const report = trainReport({ epochs: 12 });
    const lines = renderTrainTable(report, PLAIN).split('\n');
    const rows = lines.filter(isEpoch);
    expect(rows).toHaveLength(12);
    expect(lines.filter((line) => line.includes('before training'))).toEqual([
      expect.stringMatching(/^ +0 +2\.3100 +10\.0 % +52\.0 % +before training$/),
      expect.stringMatching(/^written .* \(10\.0 % before training\)$/),
    ]);
    const marked = rows.filter((row) => row.includes('best'));
    expect(marked).toHaveLength(1);
    expect(Number.parseInt(marked[0]!, 10)).toBe(report.best!.epoch);
    expect(lines.join('\n')).toContain('2: n01440764/broken.jpg, n02102040/empty.jpg');
  });

  it('shortens a long run and says by how much; the best stays', () => {
    const report = trainReport({ epochs: 300 });
    const text = renderTrainTable({ ...report, best: { epoch: 178, top1: 0.9 } }, PLAIN);
    const rows = text.split('\n').filter(isEpoch);
    expect(rows.length).toBeLessThanOrEqual(21);
    expect(text).toContain(`${300 - rows.length} epochs not shown`);
    expect(rows.find((row) => row.includes('best'))).toMatch(/^ +178 /);
    expect(rows.at(-1)).toMatch(/^ +300 /);
  });

  it('says why a run ended early, also before its first epoch', () => {
    const report = {
      ...trainReport({ epochs: 0 }),
      status: 'failed',
      reason: `loss is NaN ${HOSTILE}`,
      output: null,
    } as const;
    const text = renderTrainTable(report, PLAIN);
    expect(text).toContain('no epoch was finished');
    expect(text).toContain('failed: loss is NaN');
    expect(printable(text.replaceAll('\n', ''))).toBe(text.replaceAll('\n', ''));
  });

  it.each([40, 80, 120])('fits into %d columns', (columns) => {
    for (const text of [
      renderTrainTable(trainReport(), { columns, hasColors: false }),
      renderTrainTable(trainReport({ startTop1: 0.99 }), { columns, hasColors: false }),
      renderEvalTable(evalReport(), { columns, hasColors: false }),
    ]) {
      const words = new Set(text.split(/\s+/).filter((word) => displayWidth(word) > columns - 14));
      for (const line of text.split('\n')) {
        if (!line.split(/\s+/).some((word) => words.has(word))) expect(displayWidth(line)).toBeLessThanOrEqual(columns);
      }
    }
  });
});

describe('renderEvalTable', () => {
  it('holds classes, interval, comparison', () => {
    const report = evalReport();
    const text = renderEvalTable(report, PLAIN);
    for (const { name, n } of report.perClass) expect(text).toMatch(new RegExp(`${name} +${n} `));
    expect(text).toMatch(/top-1 +\d+\.\d % {2}\(95 %: \d+\.\d % to \d+\.\d %\)/);
    expect(text).toMatch(/versus +models\/resnet18\.onnx: top-1/);
    expect(text).toContain(comparisonVerdict(report.versus!));
  });

  it('shows the worst of many classes, and hostile names as text', () => {
    const report = evalReport({ classes: 1000, images: 5000, hasVersus: false, rename: (name) => `${name}${HOSTILE}` });
    const text = renderEvalTable(report, PLAIN);
    expect(text).toContain('the 10 worst of 1,000 classes');
    expect(printable(text.replaceAll('\n', ''))).toBe(text.replaceAll('\n', ''));
    expect(text).not.toContain('versus');
  });

  it('says which classes have no images', () => {
    expect(renderEvalTable(evalReport({ classes: 10, images: 7, hasVersus: false }), PLAIN)).toContain(
      'classes without images: 3',
    );
  });
});

describe('words of an evaluation', () => {
  it('speaks of a difference only where the test finds one', () => {
    const base = evalReport().versus!;
    expect(comparisonVerdict({ ...base, difference: -0.02, pValue: 0.001 })).toMatch(/worse by 2\.00 points/);
    expect(comparisonVerdict({ ...base, difference: 0.02, pValue: 0.049 })).toMatch(/better by 2\.00 points/);
    expect(comparisonVerdict({ ...base, difference: 0.02, pValue: 0.05, ci95: [-0.01, 0.05] })).toMatch(
      /No difference shown.*beyond 5\.00 points/,
    );
    expect(pointsText(0.0125)).toBe('+1.25');
    expect(pointsText(-0.000001)).toBe('0.00');
  });

  it('finds the confusions, most frequent first, without the diagonal', () => {
    const report = evalReport();
    const cells = mostConfused(report, 1000);
    expect(cells.every(({ actual, predicted }) => actual !== predicted)).toBe(true);
    expect(cells.map(({ count }) => count)).toEqual(cells.map(({ count }) => count).toSorted((a, b) => b - a));
    expect(cells.reduce((sum, { count }) => sum + count, 0)).toBe(Math.round(report.n * (1 - report.top1)));
  });
});
