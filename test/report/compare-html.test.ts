import { beforeAll, describe, expect, it } from 'vitest';
import type { CompareReport } from '../../src/contracts/compare.js';
import { renderCompareTable } from '../../src/report/compare-table.js';
import { bestInit, compareAdvice } from '../../src/report/compare-verdict.js';
import { compareHtml } from '../../src/report/html/compare-html.js';
import { LIGHT } from '../../src/report/html/theme.js';
import { PLAIN } from '../../src/report/terminal.js';
import { compareReport } from './support/compare-report.js';
import { expectBalanced, expectHarmless, HOSTILE } from './support/harmless.js';
import { textOf } from './support/page-text.js';

describe('compareHtml', () => {
  const report = compareReport();
  let page = '';
  beforeAll(async () => {
    page = await compareHtml(report);
  });

  it('says which to take, with every number that it rests on', () => {
    expectHarmless(page);
    expectBalanced(page);
    const text = textOf(page);
    expect(text).toContain('whitened has the highest top-1, 50.0 % of 600 images, +10.00 points over spectral');
    expect(text).toContain('Far off this scale, and not drawn: baseline.');
    expect(text).toContain('no activation: the truncated SVD is the optimum');
    expect(text).toContain('it draws samples, which takes minutes');
    expect(text).toContain('lowrank compare models/resnet50.onnx --val photos');
    for (const { name, summary } of report.inits) {
      expect(text).toContain(` ${name} `);
      expect(text).toContain(summary);
    }
    for (const { name } of report.layers.filter(({ action }) => action === 'factorized')) {
      expect(text).toContain(` ${name} `);
    }
  });

  it("gives every id once, and draws in the page's colours only", () => {
    const ids = [...page.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const charts = (page.match(/<svg class="chart[^]*?<\/svg>/g) ?? []).join('');
    const colours = new Set([...charts.matchAll(/(?:fill|stroke)="([^"]*)"/g)].map(([, colour]) => colour));
    for (const colour of colours) expect(colour).toMatch(/^(none|transparent|var\(--[a-z]+\))$/);
    for (const [, name = ''] of page.matchAll(/var\(--([a-z]+)\)/g)) expect(Object.keys(LIGHT)).toContain(name);
  });

  it('shows hostile names as text, everywhere', async () => {
    const hostile = compareReport({ rename: (name) => `${name}${HOSTILE}` });
    const injected = await compareHtml({
      ...hostile,
      command: HOSTILE,
      model: { ...hostile.model, path: `dir/${HOSTILE}`, producer: HOSTILE },
      settings: { [HOSTILE]: HOSTILE },
      warnings: [HOSTILE],
      leftOut: [{ name: HOSTILE, reason: HOSTILE }],
      inits: hostile.inits.map((init) => Object.assign({}, init, { summary: HOSTILE })),
      // oxlint-disable-next-line oxc/no-map-spread -- a copy is meant
      layers: hostile.layers.map((layer) => ({
        ...layer,
        reason: HOSTILE,
        activation: HOSTILE,
        theorem: layer.theorem === null ? null : { ...layer.theorem, bound: null, reason: HOSTILE },
      })),
    });
    expectHarmless(injected);
    expectBalanced(injected);
    expect(injected).toContain('&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;');
  });

  it('works without images, with failures, with one initialization, with nothing at all', async () => {
    const shown = async (variant: CompareReport): Promise<string> => {
      const rendered = await compareHtml(variant);
      expectBalanced(rendered);
      expect(rendered).not.toMatch(/NaN|undefined|Infinity/);
      expect(renderCompareTable(variant, PLAIN)).not.toMatch(/NaN|undefined|Infinity/);
      return textOf(rendered);
    };
    expect(await shown(compareReport({ hasImages: false }))).not.toContain('Top-1');
    expect(await shown(compareReport({ hasFailure: true }))).toContain('relu-svd failed: weight element 3 is wrong');
    const one = compareReport({ hasImages: false });
    await shown({ ...one, inits: one.inits.slice(0, 1) });
    expect(await shown(compareReport({ rankScale: 1 }))).toContain('stayed at full rank');
    await shown({ ...compareReport({ rankScale: 1 }), layers: [] });
  });
});

describe('the table', () => {
  it('has every layer, every initialization and the advice, and fits a narrow terminal', () => {
    const report = compareReport();
    const wide = renderCompareTable(report, PLAIN);
    for (const { name } of report.inits) expect(wide).toContain(name);
    expect(wide).toContain(compareAdvice(report));
    expect(wide).toMatch(/calibrated +52 layers, on 256 images/);
    expect(wide.match(/^ *\d+ {2}\S+ +Conv/gm)).toHaveLength(4 * 52);
    for (const line of renderCompareTable(report, { ...PLAIN, columns: 70 }).split('\n')) {
      expect(line.length).toBeLessThanOrEqual(70);
    }
  });
});

describe('compareAdvice', () => {
  it('goes by top-1 where it was measured, else by function error, and says where chance may explain it', () => {
    const report = compareReport();
    expect(bestInit(report)!.name).toBe('whitened');
    expect(compareAdvice(report)).toMatch(/more than chance explains/);
    const blind = compareReport({ hasImages: false });
    expect(bestInit(blind)!.name).toBe('lfai');
    expect(compareAdvice(blind)).toMatch(/Real activations are not Gaussian: --val measures/);
    const few = { ...report, inits: report.inits.slice(0, 2) };
    expect(compareAdvice(few)).toMatch(/these images do not tell the two apart/);
    expect(compareAdvice({ ...report, inits: report.inits.slice(0, 1) })).toMatch(/it is the first/);
  });
});
