import { describe, expect, it } from 'vitest';
import { evalHtml } from '../../src/report/html/eval.js';
import { trainHtml } from '../../src/report/html/train.js';
import type { TrainReport } from '../../src/contracts/train.js';
import { expectBalanced, expectHarmless, HOSTILE } from './support/harmless.js';
import { headings, textOf } from './support/page-text.js';
import { evalReport, trainReport } from './support/train-report.js';

describe('trainHtml', () => {
  it('says how the run went, with every epoch and setting', async () => {
    const report = trainReport();
    const page = await trainHtml(report);
    expectHarmless(page);
    expectBalanced(page);
    const text = textOf(page);
    expect(text).toContain('30 epochs, 8,880 updates on 9,469 images');
    expect(text).toContain('Finished');
    expect(text).toContain(
      `Best validation top-1 ${(100 * report.best!.top1).toFixed(1)} % in epoch ${report.best!.epoch}`,
    );
    for (const { loss } of report.epochs) expect(text).toContain(`${loss.toFixed(4)} `);
    for (const { valLoss } of report.epochs) expect(text).toContain(`${valLoss!.toFixed(4)} `);
    expect(text).toContain(report.command);
    expect(text).toContain('n02102040/empty.jpg');
    expect(text).toContain(report.output!.sha256);
    const { epoch, valTop1 } = report.written!;
    expect(text).toContain(
      `Written: out/resnet18-trained.onnx , epoch ${epoch}, the best of 30: top-1 ${(100 * valTop1!).toFixed(1)} % on the validation images (10.0 % before training). Last: epoch 30`,
    );
    expect(text).toContain('before training 0 2.3100 10.0 % 52.0 %');
    expect(page).not.toContain('verdict bad');
    expect(headings(page)).toEqual([
      'Loss',
      'Accuracy',
      'Learning rate',
      'Gradient norm',
      'Images a second',
      'Waiting for images',
    ]);
  });

  it('draws the curves to scale: the lowest point of the loss is the lowest loss', async () => {
    const { epochs } = trainReport();
    const page = await trainHtml(trainReport());
    const chart = /<svg class="chart wide"[^]*?<\/svg>/.exec(page)?.[0] ?? '';
    const points = Array.from(
      chart.matchAll(/matrix\([\d.]+,0,0,[\d.]+,([\d.]+),([\d.]+)\)"[^>]*><title>epoch (\d+), training: /g),
      ([, x, y, epoch]) => ({ x: Number(x), y: Number(y), epoch: Number(epoch) }),
    );
    expect(points).toHaveLength(epochs.length);
    const [first, last] = [points[0]!, points.at(-1)!];
    for (const { x, y, epoch } of points) {
      const { loss } = epochs[epoch - 1]!;
      const [from, to] = [epochs[0]!.loss, epochs.at(-1)!.loss];
      // Coordinates are written with at most four digits behind the point.
      expect(Math.abs(y - (first.y + ((loss - from) / (to - from)) * (last.y - first.y)))).toBeLessThan(0.01);
      expect(Math.abs(x - (first.x + ((epoch - 1) / (epochs.length - 1)) * (last.x - first.x)))).toBeLessThan(0.01);
    }
  });

  it('plots epoch 0 of the validation, and no other', async () => {
    const page = await trainHtml(trainReport({ epochs: 3 }));
    const titles = Array.from(page.matchAll(/<title>(epoch 0, [^<]*)<\/title>/g), ([, title]) => title);
    const shown = ['validation: 2.31', 'validation top-1: 10 %', 'validation top-5: 52 %'];
    // Each picture is there twice: for wide pages and narrow ones.
    expect(new Set(titles)).toEqual(new Set(shown.map((text) => `epoch 0, ${text}`)));
    expect(await trainHtml({ ...trainReport({ epochs: 3 }), start: null })).not.toContain('epoch 0');
  });

  it('shows ranks that were found: by layer, over the epochs, with the size that they give', async () => {
    const report = trainReport();
    const labels = ['conv2 <i>', 'fc'];
    const page = await trainHtml({
      ...report,
      adaptation: {
        ...{ method: 'augmented', tolerance: 0.1, whole: { params: 1000, macs: 5000 } },
        layers: labels.map((label, at) => {
          return { name: label, label, scheme: 'channel', rows: 40, cols: 60 + at, startRank: 20 };
        }),
      },
      epochs: report.epochs.map((epoch, at) => ({
        ...epoch,
        adaptation: {
          ...{ ranks: [60 - at, 5], singularValues: [[3, 2, 1], [0.5]], params: 300, macs: 2000, seconds: 1.5 },
          ...{ paramsShare: 0.3 - 0.01 * at, macsShare: 0.4 },
        },
      })),
    });
    expectBalanced(page);
    expect(headings(page)).toContain('Size');
    const last = 60 - (report.epochs.length - 1);
    expect(textOf(page)).toContain(`conv2 &lt;i&gt; 40 × 60 20 ${last} 3.000 fc 40 × 61 20 5 0.500`);
    expect(textOf(page)).toContain('augmented, θ = 0.1');
    expect(textOf(page)).toContain('1,000 parameters; both factors are counted');
    expect(headings(await trainHtml(report))).not.toContain('Size');
  });

  it('says in a box what is worse than before training', async () => {
    const page = await trainHtml(trainReport({ startTop1: 0.99 }));
    expectBalanced(page);
    expect(page).toContain('<div class="verdict bad">');
    expect(textOf(page)).toMatch(
      /Worse than before training: top-1 .* below the 99\.0 % before\. Try a lower --lr than 0\.1/,
    );
  });

  it('names no validation where there was none, and no picture without values', async () => {
    const report = trainReport({ epochs: 3, hasValidation: false });
    const withoutNorm = {
      ...report,
      epochs: report.epochs.map((epoch) => Object.assign({}, epoch, { gradientNorm: null })),
    };
    const page = await trainHtml(withoutNorm);
    expect(textOf(page)).toContain('nothing was validated');
    expect(textOf(page)).toContain('epoch 3, the last: there are no validation images to choose by.');
    expect(headings(page)).not.toContain('Gradient norm');
    expect(page).not.toContain('validation top-1');
  });

  it('shows a run that failed before its first epoch, and losses that are not finite', async () => {
    const empty = await trainHtml({
      ...trainReport({ epochs: 0 }),
      status: 'failed',
      reason: 'out of memory',
      output: null,
    });
    expectBalanced(empty);
    expect(textOf(empty)).toContain('Failed: out of memory. No model was written.');
    const report = trainReport({ epochs: 4 });
    const broken = report.epochs.map((epoch, index) =>
      Object.assign({}, epoch, index === 3 ? { loss: NaN, valLoss: Infinity, gradientNorm: NaN } : {}),
    );
    const page = await trainHtml({
      ...report,
      epochs: broken,
      status: 'failed',
      reason: 'the loss is NaN at update 1,184',
    });
    expectBalanced(page);
    expect(textOf(page)).toContain('Failed: the loss is NaN at update 1,184.');
    expect(page).not.toMatch(/<path[^>]*NaN/);
  });

  it('shows hostile texts as text', async () => {
    const base = trainReport({ epochs: 2 });
    const report: TrainReport = {
      ...base,
      command: HOSTILE,
      model: { ...base.model, path: `a/${HOSTILE}`, producer: HOSTILE },
      settings: { [HOSTILE]: HOSTILE, list: [HOSTILE] },
      data: { train: { path: HOSTILE, images: 1, classes: 1 }, val: { path: HOSTILE, images: 1, classes: 1 } },
      badImages: { count: 1, names: [HOSTILE] },
      resumedFrom: { path: HOSTILE, epoch: 1, steps: 1 },
      checkpoint: { path: HOSTILE, epoch: 1, steps: 1 },
      verdict: { level: 'worse', finding: HOSTILE, advice: HOSTILE },
      output: { path: HOSTILE, bytes: 1, sha256: HOSTILE },
      warnings: [HOSTILE],
      status: 'interrupted',
      reason: HOSTILE,
    };
    const page = await trainHtml(report);
    expectHarmless(page);
    expectBalanced(page);
    expect(page.split('&lt;script&gt;alert(1)').length).toBeGreaterThan(12);
  });
});

describe('evalHtml', () => {
  it('says what is right, how sure that is, and how the other model compares', async () => {
    const report = evalReport();
    const page = await evalHtml(report);
    expectHarmless(page);
    expectBalanced(page);
    const text = textOf(page);
    expect(text).toContain(
      `${Math.round(report.n * report.top1).toLocaleString('en-US')} of 3,925 images of 10 classes are right`,
    );
    const [low, high] = report.ci95.map((value) => (100 * value).toFixed(1));
    expect(text).toContain(`95 % interval: ${low} % to ${high} %`);
    const { onlyFirst, onlySecond } = report.versus!.discordant;
    expect(text).toContain(`Right in this model only ${onlyFirst} Right in the other only ${onlySecond}`);
    const counts = Array.from(text.matchAll(/Right in both ([\d,]+)|Wrong in both ([\d,]+)/g), ([, a, b]) =>
      Number((a ?? b ?? '').replace(',', '')),
    );
    expect(counts.reduce((sum, count) => sum + count, onlyFirst + onlySecond)).toBe(report.n);
  });

  it('draws every cell of the confusion once, at its row and column', async () => {
    const report = evalReport({ classes: 7, images: 700, hasVersus: false });
    const page = await evalHtml(report);
    const map = /<svg class="chart wide"[^>]*>(?=<title[^>]*>Confusion)[^]*?<\/svg>/.exec(page)?.[0] ?? '';
    const cells = Array.from(
      map.matchAll(/matrix\([\d.]+,0,0,[\d.]+,([\d.]+),([\d.]+)\)"[^>]*><title>([^:]*): (\d+),/g),
      ([, x, y, name, count]) => ({ x: Number(x), y: Number(y), name, count: Number(count) }),
    );
    expect(cells).toHaveLength(report.confusion.length);
    const xs = [...new Set(cells.map(({ x }) => x))].toSorted((a, b) => a - b);
    const ys = [...new Set(cells.map(({ y }) => y))].toSorted((a, b) => a - b);
    expect([xs.length, ys.length]).toEqual([7, 7]);
    for (const { actual, predicted, count } of report.confusion) {
      const name = `${report.perClass[actual]!.name} as ${report.perClass[predicted]!.name}`;
      expect(cells.find((cell) => cell.name === name)).toEqual({ x: xs[predicted], y: ys[actual], name, count });
    }
  });

  it('lists pairs instead of a map beyond 100 classes, and all classes', async () => {
    const page = await evalHtml(evalReport({ classes: 101, images: 2020, hasVersus: false }));
    expect(headings(page)).toEqual(['Top-1 of each class', 'Most frequent confusions']);
    expect(textOf(page)).toContain('The table of 101 classes');
    const whole = await evalHtml(evalReport({ classes: 100, images: 2000, hasVersus: false }));
    expect(headings(whole)).toContain('Confusion');
  });

  it('shows a perfect model, classes without images, and hostile names', async () => {
    const base = evalReport({ classes: 4, images: 3, rename: () => HOSTILE });
    const perfect = {
      ...base,
      confusion: [0, 1, 2].map((index) => ({ actual: index, predicted: index, count: 1 })),
      versus: { ...base.versus!, model: { ...base.model, path: HOSTILE } },
      top5: null,
    };
    const page = await evalHtml(perfect);
    expectHarmless(page);
    expectBalanced(page);
    expect(headings(page)).toEqual(['Confusion', 'Top-1 of each class']);
  });
});
