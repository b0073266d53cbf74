import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareHtml } from '../../src/report/html/compare-html.js';
import { convertHtml } from '../../src/report/html/convert-html.js';
import { evalHtml } from '../../src/report/html/eval.js';
import { inspectHtml } from '../../src/report/html/inspect-html.js';
import { recoverHtml } from '../../src/report/html/recover.js';
import { studyHtml } from '../../src/report/html/study.js';
import { trainHtml } from '../../src/report/html/train.js';
import { compareReport } from './support/compare-report.js';
import { recoverReport } from './support/recover-report.js';
import { resnet50, resnet50Inspected } from './support/resnet50-report.js';
import { sensitive } from './support/sensitive-report.js';
import { studyReport } from './support/study-report.js';
import { evalReport, trainReport } from './support/train-report.js';

/** A browser: CHROMIUM names it, else the first of the usual names on the PATH. */
function findBrowser(): string | undefined {
  const names = [process.env['CHROMIUM'], 'chromium', 'chromium-browser', 'google-chrome'];
  return names.find((name) => name !== undefined && spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
}

const browser = findBrowser();

/** What a browser measures in one page at one width, all details open. Layout in CSS pixels. */
interface Measurement {
  readonly charts: number;
  readonly emptyCharts: number;
  readonly tables: number;
  /** How far the content is wider than the page. */
  readonly overflow: number;
  /** Pairs of texts in one chart that cover each other by more than a pixel in both directions. */
  readonly overlaps: readonly string[];
  /** Texts that stick out of their chart by more than a pixel. */
  readonly cut: readonly string[];
  readonly background: string;
  readonly ink: string;
  readonly chartText: string;
}

/** Runs inside the browser: `window` is the harness, the pages are its frames. */
const PROBE = `
const measure = (frame) => {
  const { document } = frame.contentWindow;
  for (const details of document.querySelectorAll('details')) details.open = true;
  const charts = [...document.querySelectorAll('svg.chart')].filter((svg) => svg.getBoundingClientRect().width > 0);
  const overlaps = [], cut = [];
  for (const svg of charts) {
    const box = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].map((text) => ({ text: text.textContent, box: text.getBoundingClientRect() }));
    for (const { text, box: b } of texts) {
      if (b.left < box.left - 1 || b.right > box.right + 1 || b.top < box.top - 1 || b.bottom > box.bottom + 1) cut.push(text);
    }
    texts.forEach((a, i) => texts.slice(i + 1).forEach((b) => {
      const x = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
      const y = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
      if (x > 1 && y > 1) overlaps.push(a.text + ' | ' + b.text);
    }));
  }
  const root = document.documentElement;
  const style = frame.contentWindow.getComputedStyle(document.body);
  const chartText = charts[0] && charts[0].querySelector('text');
  return {
    charts: charts.length,
    emptyCharts: charts.filter((svg) => svg.getBoundingClientRect().height < 40 || svg.querySelectorAll('path').length < 3).length,
    tables: document.querySelectorAll('table tbody tr').length,
    overflow: root.scrollWidth - root.clientWidth,
    overlaps, cut,
    background: style.backgroundColor,
    ink: style.color,
    chartText: chartText ? frame.contentWindow.getComputedStyle(chartText).fill : '',
  };
};
addEventListener('load', () => {
  const results = [...document.querySelectorAll('iframe')].map(measure);
  document.body.textContent = JSON.stringify(results);
});`;

describe.skipIf(browser === undefined)('reports in a real browser', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lowrank-report-'));
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  /** Lays each page out in a frame of each width. The pages' own policy stays in force: the probe is outside of them. */
  function measure(pages: readonly string[], widths: readonly number[], isDark = false): Measurement[][] {
    const escape = (page: string): string => page.replaceAll('&', '&amp;').replaceAll('"', '&quot;');
    const frames = pages.flatMap((page) =>
      widths.map(
        (width) => `<iframe style="width:${width}px;height:900px;border:0" srcdoc="${escape(page)}"></iframe>`,
      ),
    );
    const harness = join(folder, 'harness.html');
    writeFileSync(harness, `<!doctype html><meta charset="utf-8"><body>${frames.join('')}<script>${PROBE}</script>`);
    const dom = execFileSync(
      browser ?? '',
      [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        `--user-data-dir=${mkdtempSync(join(folder, 'profile-'))}`,
        ...(isDark ? ['--blink-settings=preferredColorScheme=0'] : []),
        '--dump-dom',
        `file://${harness}`,
      ],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 180_000 },
    );
    const body = /<body>([^]*)<\/body>/.exec(dom)?.[1] ?? '';
    const text = body.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
    const results = JSON.parse(text) as Measurement[];
    return pages.map((_, page) => results.slice(page * widths.length, (page + 1) * widths.length));
  }

  const widths = [1280, 360];
  const few = resnet50();
  const longName = (_: string, index: number): string =>
    `features.${index % 9}.${index % 4}.block.${index % 5}.${index % 2 === 0 ? 'fc1' : 'conv_projection'}/Conv_${index}`;
  const many = resnet50({ repeat: 3, rename: longName });
  let pages: readonly string[] = [];
  let results: Measurement[][] = [];

  beforeAll(async () => {
    pages = [
      await convertHtml(few.report, { spectra: few.spectra }),
      await convertHtml(many.report, { spectra: many.spectra }),
      await inspectHtml(resnet50Inspected()),
      await trainHtml(trainReport()),
      await trainHtml(trainReport({ epochs: 300, hasValidation: false })),
      await trainHtml(trainReport({ epochs: 1 })),
      await evalHtml(evalReport()),
      await evalHtml(evalReport({ classes: 100, images: 10_000, hasVersus: false })),
      await evalHtml(evalReport({ classes: 1000, images: 20_000, hasVersus: false, rename: longName })),
      await studyHtml(studyReport()),
      await studyHtml(studyReport({ architectures: ['resnet8_cifar'], regularizers: ['no decay'], done: 30 })),
      await compareHtml(compareReport()),
      await compareHtml(compareReport({ repeat: 3, rename: longName, hasImages: false })),
      await convertHtml(sensitive(few.report)),
      await convertHtml(sensitive(many.report)),
      await recoverHtml(recoverReport()),
      await recoverHtml(recoverReport({ steps: 1_000_000, points: 158, isClassifier: false, rename: longName })),
      await recoverHtml(recoverReport({ steps: 1, points: 3 })),
    ];
    results = measure(pages, widths);
  }, 240_000);

  // Change charts: 2 shown, 2 in details; 1 scatter; a tile for each spectrum. Inspection: rank chart twice, all layers.
  // Training: six curves, a row an epoch and for epoch 0. Evaluation: bars, up to 100 classes the map, with another model the difference;
  // rows are classes and the 15 most frequent confusions, or 100 where there is no map. Study: a panel and a chart of
  // differences for each architecture and regularizer; rows are conditions and cells.
  it.each([
    ['54 layers', 0, 5 + Object.keys(few.spectra).length, 54],
    ['162 layers with long names', 1, 5 + Object.keys(many.spectra).length, 162],
    ['an inspection', 2, 2 + 54, 54],
    ['a training run', 3, 6, 31],
    ['a long training run without validation', 4, 6, 300],
    ['one epoch', 5, 6, 2],
    ['an evaluation', 6, 3, 10 + 15],
    ['100 classes', 7, 2, 100 + 15],
    ['1000 classes with long names', 8, 1, 1000 + 100],
    ['a study of seven initializations', 9, 4 + 4, 4 * 29 + 348],
    ['a study that was interrupted', 10, 1 + 1, 10 + 30],
    // Top-1, two errors and the gap, the latter three also with all layers; initializations and four tables of layers.
    ['a comparison of initializations', 11, 1 + 3 * 2, 6 + 4 * 52],
    ['a comparison of long names without images', 12, 2 * 2, 5 + 2 * 158],
    // The trade-off, bars of some and of all layers, and a curve for each layer that was looked at; a row a budget.
    ['ranks by sensitivity', 13, 5 + 1 + 2 + 52, 54 + 17],
    ['ranks by sensitivity of layers with long names', 14, 5 + 1 + 2 + 158, 162 + 17],
    // Loss, agreement and rate; a row a look, one for the start, one a rate that was tried, one a value.
    ['a recovery', 15, 3, 20 + 1 + 3 + 54],
    ['a long recovery of a detector with long names', 16, 2, 20 + 1 + 3 + 158],
    ['a recovery of one update', 17, 3, 1 + 1 + 3 + 3],
  ])('%s: every chart is drawn once and nothing is too wide', (_, page, charts, rows) => {
    const measured = results[page] ?? [];
    expect(measured).toHaveLength(widths.length);
    for (const [index, result] of measured.entries()) {
      const at = `at ${widths[index]} px`;
      expect(result.charts, at).toBe(charts);
      expect(result.emptyCharts, at).toBe(0);
      expect(result.tables, at).toBe(rows);
      expect(result.overflow, at).toBe(0);
      expect(result.overlaps, at).toEqual([]);
      expect(result.cut, at).toEqual([]);
    }
  });

  it('follows the dark setting, inside the charts too', () => {
    const shown = [0, 3, 6, 11, 15];
    const darkResults = measure(
      shown.map((page) => pages[page] ?? ''),
      [1280],
      true,
    );
    const brightness = (colour = ''): number =>
      (colour.match(/\d+/g) ?? []).slice(0, 3).reduce((sum, channel) => sum + Number(channel), 0) / (3 * 255);
    for (const [index, page] of shown.entries()) {
      const light = results[page]?.[0];
      const dark = darkResults[index]?.[0];
      expect(brightness(light?.background)).toBeGreaterThan(0.9);
      expect(brightness(light?.ink)).toBeLessThan(0.2);
      expect(brightness(light?.chartText)).toBeLessThan(0.5);
      expect(brightness(dark?.background)).toBeLessThan(0.2);
      expect(brightness(dark?.ink)).toBeGreaterThan(0.8);
      expect(brightness(dark?.chartText)).toBeGreaterThan(0.5);
    }
  });
});
