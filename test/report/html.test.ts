import { beforeAll, describe, expect, it } from 'vitest';
import type { ConvertReport } from '../../src/contracts/convert.js';
import { convertHtml } from '../../src/report/html/convert-html.js';
import { inspectHtml } from '../../src/report/html/inspect-html.js';
import { escapeHtml, markup } from '../../src/report/html/markup.js';
import { DARK, LIGHT, type Palette } from '../../src/report/html/theme.js';
import { verdictOf } from '../../src/report/verdict.js';
import { expectBalanced, expectHarmless, HOSTILE } from './support/harmless.js';
import { resnet50, resnet50Inspected } from './support/resnet50-report.js';
import { goodAgreement, sensitive } from './support/sensitive-report.js';

describe('markup', () => {
  it('escapes values, keeps markup, and leaves out null', () => {
    expect(markup`<p title="${`a"b`}">${'<&>'}${markup`<b>${1}</b>`}${null}${['x', markup`<i></i>`]}</p>`.html).toBe(
      '<p title="a&quot;b">&lt;&amp;&gt;<b>1</b>x<i></i></p>',
    );
    expect(escapeHtml("'\u001B")).toBe('&#39;\\u{1B}');
  });
});

describe('convertHtml', () => {
  const fixture = resnet50();
  let page = '';
  beforeAll(async () => {
    page = await convertHtml(fixture.report, { spectra: fixture.spectra, commandLine: 'lowrank convert a.onnx' });
  });

  it('says what happened, how much smaller, and whether it is safe', () => {
    expectHarmless(page);
    expectBalanced(page);
    const text = page
      .replace(/<style>[^]*?<\/style>/, '')
      .replaceAll(/<svg[^]*?<\/svg>/g, '')
      .replaceAll(/<[^>]*>/g, ' ')
      .replaceAll(/\s+/g, ' ');
    expect(text).toContain(
      '52 of 54 convolutions and dense layers became low-rank pairs: 53.9 % fewer parameters, 57.2 % fewer multiply-accumulates',
    );
    expect(text).toContain('Runs; outputs changed');
    expect(text).toContain('lowrank convert a.onnx');
    expect(text).toContain(fixture.report.model.sha256);
    expect(text).toContain('pytorch 2.9.1');
    const { engine } = fixture.report;
    expect(text).toContain(`Fitted by ${engine.package} ${engine.version}`);
    expect(text).toContain('first layer : 1 layer, 9.41 k parameters');
    for (const { name } of fixture.report.layers) expect(text).toContain(` ${name} `);
  });

  it('shows hostile names as text, everywhere', async () => {
    const hostile = resnet50({ rename: (name) => `${name}${HOSTILE}` });
    const report: ConvertReport = {
      ...hostile.report,
      model: { ...hostile.report.model, path: `dir/${HOSTILE}`, producer: HOSTILE },
      output: { ...hostile.report.output, path: HOSTILE },
      settings: { [HOSTILE]: HOSTILE, list: [HOSTILE] },
      warnings: [HOSTILE],
      layers: hostile.report.layers.map((layer) => ({ ...layer, reason: HOSTILE, activation: HOSTILE, op: HOSTILE })),
    };
    const injected = await convertHtml(report, { spectra: hostile.spectra, commandLine: HOSTILE });
    expectHarmless(injected);
    expectBalanced(injected);
    expect(injected).toContain('&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;');
  });

  it('shows what layers lose on calibration images, and which images those were', async () => {
    const layers = fixture.report.layers.map((layer) =>
      layer.action === 'factorized' ? { ...layer, dataError: 0.0625 } : layer,
    );
    const normalization = { mean: [0, 0, 0], deviation: [1, 1, 1] };
    const about = { data: `photos/${HOSTILE}`, images: 256, imageSize: 224, normalization, badImages: 0 };
    const found = { normalizationName: 'unit', normalizationFrom: 'batch-normalization' } as const;
    const calibration = { ...about, ...found, layers: 52, seconds: 9 };
    const calibrated = await convertHtml({ ...fixture.report, layers, calibration }, { spectra: {}, commandLine: '' });
    expectHarmless(calibrated);
    expectBalanced(calibrated);
    expect(calibrated).toContain('>Error on images<');
    expect(calibrated.split('0.063').length - 1).toBeGreaterThanOrEqual(52);
    expect(calibrated).toContain('52 layers, on 256 images of 224x224 from photos/');
    expect(calibrated).toContain('normalized as unit (from its BatchNormalization)');
    expect(page).not.toContain('Error on images');
  });

  it('shows names with the signs of replacement patterns as they are', async () => {
    const odd = "$& $1 $` $' $$";
    const named = resnet50({ rename: (name) => `${name} ${odd}` });
    const shown = await convertHtml(named.report, { spectra: named.spectra, commandLine: odd });
    expectBalanced(shown);
    const titles = [...shown.matchAll(/<path[^>]*><title>([^<]*)<\/title><\/path>/g)].map(([, title]) => title!);
    const ofLayers = titles.filter((title) => title.includes('$&amp;'));
    expect(ofLayers.length).toBeGreaterThan(50);
    for (const title of ofLayers) expect(title).toContain(escapeHtml(odd));
  });

  it('gives every id once, and every chart a title and a description', () => {
    const ids = [...page.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const charts = page.match(/<svg class="chart[^>]*>/g) ?? [];
    // Two charts of changes and one of errors at two widths, the same two with all layers, and the spectra.
    expect(charts).toHaveLength(2 * 5 + Object.keys(fixture.spectra).length);
    for (const chart of charts) {
      const labels = /role="img" aria-labelledby="(\S+) (\S+)"/.exec(chart);
      for (const id of labels?.slice(1) ?? ['missing']) expect(page).toMatch(new RegExp(`id="${id}">[^<]{10,}<`));
    }
  });

  it("uses the page's colours only, so that charts follow light and dark", async () => {
    const pages = [page, await inspectHtml(resnet50Inspected())];
    for (const shown of pages) {
      const charts = (shown.match(/<svg class="chart[^]*?<\/svg>/g) ?? []).join('');
      const colours = new Set([...charts.matchAll(/(?:fill|stroke)="([^"]*)"/g)].map(([, colour]) => colour));
      for (const colour of colours) expect(colour).toMatch(/^(none|transparent|var\(--[a-z]+\))$/);
      for (const [, name = ''] of shown.matchAll(/var\(--([a-z]+)\)/g)) expect(Object.keys(LIGHT)).toContain(name);
    }
  });

  it('works where nothing was factorized, measured, verified or even found', async () => {
    const nothing = resnet50({ rankScale: 1 });
    const kept = await convertHtml({ ...nothing.report, verify: null });
    expectBalanced(kept);
    expect(kept).toContain('No layer was factorized');
    expect(kept).toContain('Not verified');
    const empty = await convertHtml({
      ...nothing.report,
      layers: [],
      totals: {
        params: { before: 0, after: 0, ratio: 1 },
        macs: { before: 0, after: 0, ratio: 1 },
        latencyMs: null,
      },
    });
    expectBalanced(empty);
    expect(empty).not.toContain('<svg class="chart');
    expect(empty).not.toContain('NaN');
  });
});

describe('a conversion by what the outputs feel', () => {
  const report = sensitive(resnet50().report);

  it('begins with the agreement, and shows what budgets and layers cost', async () => {
    const page = await convertHtml(report);
    expectHarmless(page);
    expectBalanced(page);
    expect(page).not.toMatch(/NaN|Infinity|undefined/);
    const [head = ''] = page.split('<h2>');
    expect(head).toContain('<strong>Agrees with the original.</strong> 96.1 % of 128 kept-out synthetic pictures');
    expect(page).toContain('<h2>What the outputs feel</h2>');
    expect(page).toContain('gradients of 32 images, 41.2 s.');
    expect(page).toContain('<title>chosen: budget 0.5</title>');
    expect(page).toContain('<title>budget 0.5: KL 0.11 measured, 92.1 % the same class</title>');
    expect(page).toContain('; 0.1 at the chosen 0.5. The table below holds the numbers.</desc>');
    const layers = report.layers.filter(({ sensitivity }) => sensitivity !== undefined);
    for (const { name } of layers) expect(page).toContain(`>What the outputs feel of ${name}</title>`);
    expect(page).toMatch(/<th scope="col" class="number error">Outputs feel<\/th>/);
    const charts = (page.match(/<svg class="chart[^]*?<\/svg>/g) ?? []).join('');
    for (const [, of] of charts.matchAll(/(?:fill|stroke)="([^"]*)"/g)) {
      expect(of).toMatch(/^(none|transparent|var\(--[a-z]+\))$/);
    }
  });

  it('says what to do where it is poor', async () => {
    const advice = 'keep more (a larger --macs-budget) or fine-tune (`lowrank train <a>.onnx`)';
    const page = await convertHtml({ ...report, agreement: { ...goodAgreement, advice } });
    expect(page).toContain('<strong>Differs from the original.</strong>');
    expect(page).toContain('or fine-tune (<code>lowrank train &lt;a&gt;.onnx</code>).');
  });

  it('works with any part of it, and with numbers that have no logarithm', async () => {
    const { tradeOff, sensitivity, ...rest } = report;
    const bare = await convertHtml({ ...rest, layers: resnet50().report.layers });
    expect(bare).not.toContain('What the outputs feel');
    const parts: readonly Partial<ConvertReport>[] = [
      { tradeOff: { ...tradeOff!, of: 'latency', points: tradeOff!.points.slice(0, 1) } },
      { tradeOff: { ...tradeOff!, points: [] } },
      { sensitivity: { ...sensitivity!, unit: 'squared-error', by: 'losses' } },
      {
        tradeOff: {
          ...tradeOff!,
          points: tradeOff!.points.map((point) => Object.assign({}, point, { expected: 0, measured: null })),
        },
      },
      {
        layers: report.layers.map((layer) => {
          const curve = layer.sensitivity?.curve.map((point) => Object.assign({}, point, { change: 0 })) ?? [];
          return Object.assign({}, layer, { sensitivity: { change: 0, curve } });
        }),
      },
    ];
    for (const part of parts) {
      const page = await convertHtml({ ...rest, ...part });
      expectBalanced(page);
      expect(page).toContain('What the outputs feel');
      expect(page).not.toMatch(/NaN|Infinity|undefined/);
    }
  });
});

describe('verdictOf', () => {
  const { report } = resnet50();
  const verify = (relativeDiff: number): string =>
    verdictOf({ ...report, verify: { reloaded: true, maxAbsDiff: relativeDiff * 9, relativeDiff, samples: 1 } }).short;

  it('calls outputs the same only where rounding explains the difference', () => {
    expect(verify(0)).toBe('Same outputs');
    expect(verify(9.9e-5)).toBe('Same outputs');
    expect(verify(1.1e-4)).toBe('Runs; outputs changed');
    expect(verify(Number.NaN)).toBe('Outputs not comparable');
    expect(verdictOf({ ...report, verify: null }).level).toBe('unknown');
    expect(verdictOf({ ...report, settings: { reinit: true } }).short).toBe('Runs; untrained');
  });
});

describe('inspectHtml', () => {
  it('shows ranks, spectra and pairs', async () => {
    const report = resnet50Inspected();
    const page = await inspectHtml(report);
    expectHarmless(page);
    expectBalanced(page);
    expect(page).toContain('How low the ranks could be');
    expect(page.match(/by metadata/g)).toHaveLength(report.totals.pairs);
    const layers = report.layers.map((layer) => Object.assign({}, layer, { spectrum: null }));
    const bare = await inspectHtml({ ...report, layers });
    expectBalanced(bare);
    expect(bare).not.toContain('<svg class="chart');
  });
});

describe('palettes', () => {
  /** WCAG 2.2, relative luminance. */
  function luminance(colour: string): number {
    const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((start) => {
      const channel = Number.parseInt(colour.slice(start, start + 2), 16) / 255;
      return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }
  function contrast(a: string, b: string): number {
    const [light = 0, dark = 0] = [luminance(a), luminance(b)].toSorted((x, y) => y - x);
    return (light + 0.05) / (dark + 0.05);
  }

  it.each([
    ['light', LIGHT],
    ['dark', DARK],
  ] as const)('%s: texts and marks can be told from what is behind', (_, palette: Palette) => {
    for (const background of [palette.page, palette.surface]) {
      // WCAG AA: 4.5 for text.
      for (const text of ['ink', 'muted', 'good', 'caution', 'bad'] as const) {
        expect(contrast(palette[text], background), text).toBeGreaterThanOrEqual(4.5);
      }
    }
    expect(contrast(palette.after, palette.page)).toBeGreaterThanOrEqual(4.5);
    // Bars inside bars differ in width too; the colours need less.
    expect(contrast(palette.after, palette.before)).toBeGreaterThanOrEqual(2.5);
    expect(contrast(palette.before, palette.page)).toBeGreaterThanOrEqual(1.4);
  });
});
