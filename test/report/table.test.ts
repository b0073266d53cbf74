import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderConvertTable } from '../../src/report/convert-table.js';
import { formatSmall } from '../../src/report/format.js';
import { renderInspectTable } from '../../src/report/inspect-table.js';
import { renderTable, type Column } from '../../src/report/table.js';
import { PLAIN, terminalOf } from '../../src/report/terminal.js';
import { displayWidth } from '../../src/report/text.js';
import { renderTradeOff } from '../../src/report/trade-off-table.js';
import { resnet50, resnet50Inspected } from './support/resnet50-report.js';
import { goodAgreement, sensitive } from './support/sensitive-report.js';

interface Row {
  readonly name: string;
  readonly count: string;
  readonly note: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { header: 'name', align: 'left', importance: 3, shrinkTo: 6, cut: 'middle', value: ({ name }) => name },
  { header: 'count', align: 'right', importance: 2, value: ({ count }) => count },
  { header: 'note', align: 'left', importance: 1, shrinkTo: 4, value: ({ note }) => note },
];

const ROWS: readonly Row[] = [
  { name: 'layer1.0.conv1', count: '4.10 k', note: 'first' },
  { name: 'fc', count: '2.05 M', note: '' },
];

describe('renderTable', () => {
  it('aligns numbers to the right and trims lines', () => {
    expect(renderTable(COLUMNS, ROWS, PLAIN)).toEqual([
      'name             count  note',
      'layer1.0.conv1  4.10 k  first',
      'fc              2.05 M',
    ]);
  });

  it('shortens before it drops, the least important column first', () => {
    const at = (columns: number): readonly string[] => renderTable(COLUMNS, ROWS, { columns, hasColors: false });
    expect(at(29)[1]).toBe('layer1.0.conv1  4.10 k  first');
    expect(at(28)[1]).toBe('layer1.0.conv1  4.10 k  fi..');
    expect(at(22)[1]).toBe('la..onv1  4.10 k  fi..');
    expect(at(20)[1]).toBe('l..nv1  4.10 k  fi..');
    expect(at(19)).toEqual(['name          count', 'lay...conv1  4.10 k', 'fc           2.05 M']);
    expect(at(14)[1]).toBe('l..nv1  4.10 k');
    expect(at(13)).toEqual(['name', 'laye..0.conv1', 'fc']);
  });

  it('leaves out a column without any content', () => {
    const rows = ROWS.map(({ name, count }) => ({ name, count, note: '' }));
    expect(renderTable(COLUMNS, rows, PLAIN)[0]).toBe('name             count');
  });

  it('is never wider than the terminal, whatever the names', () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 });
    fc.assert(
      fc.property(
        fc.array(fc.record({ name: text, count: text, note: text }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 60 }),
        fc.boolean(),
        (rows, columns, hasColors) => {
          const lines = renderTable(COLUMNS, rows, { columns, hasColors });
          expect(lines).toHaveLength(rows.length + 1);
          for (const line of lines) expect(displayWidth(stripVTControlCharacters(line))).toBeLessThanOrEqual(columns);
        },
      ),
    );
  });
});

describe('terminalOf', () => {
  it('has colours and a width only on a terminal, and honours NO_COLOR', () => {
    const terminal = { isTTY: true, columns: 120 };
    expect(terminalOf(terminal, {})).toEqual({ columns: 120, hasColors: true });
    expect(terminalOf(terminal, { NO_COLOR: '1' })).toEqual({ columns: 120, hasColors: false });
    expect(terminalOf(terminal, { NO_COLOR: '' })).toEqual({ columns: 120, hasColors: true });
    expect(terminalOf(terminal, { TERM: 'dumb' }).hasColors).toBe(false);
    expect(terminalOf({ columns: 120 }, {})).toEqual({ columns: undefined, hasColors: false });
    for (const columns of [{ columns: 0 }, {}]) expect(terminalOf({ isTTY: true, ...columns }, {}).columns).toBe(80);
  });
});

describe('renderConvertTable', () => {
  const { report } = resnet50();

  it('says what fitted the pairs where it is not onnxruntime on the CPU', () => {
    expect(renderConvertTable(report, PLAIN)).not.toContain('fitted by');
    const engine = { ...report.engine, backend: 'cuda', device: 'gpu' } as const;
    expect(renderConvertTable({ ...report, engine }, PLAIN)).toMatch(/fitted by +onnxruntime 1\.30\.0, on the GPU\n/);
  });

  it('has a line per layer, the totals, the verification, the output and the warnings', () => {
    const text = renderConvertTable(report, PLAIN);
    expect(text.endsWith('\n')).toBe(true);
    // Plain ASCII: safe in every terminal and log.
    expect(text).toMatch(/^[\n -~]*$/);
    const lines = text.split('\n');
    for (const [index, { name }] of report.layers.entries()) {
      expect(
        lines.filter((line) => new RegExp(`^ *${index + 1}  ${name.replaceAll('.', '\\.')} `).test(line)),
      ).toHaveLength(1);
    }
    const line = (name: string): string => lines.find((candidate) => candidate.includes(name)) ?? '';
    expect(line(' layer4.0.conv2 ').split(/ {2,}/).slice(-9)).toEqual([
      'factorized',
      'spatial',
      '384/1536',
      '2.36 M',
      '1.18 M',
      '116 M',
      '57.8 M',
      '0.338',
      '0.306',
    ]);
    expect(line(' conv1 ')).toMatch(/kept .* 9\.41 k .* 118 M .* first layer$/);
    expect(text).toContain('parameters  25.6 M -> 11.8 M  (0.461x, 53.9 % fewer)');
    expect(text).toContain('MACs        4.09 G -> 1.75 G  (0.428x, 57.2 % fewer)');
    expect(text).toContain('latency     21.4 ms -> 13.9 ms  (0.650x, 35.0 % less)');
    expect(text).toContain('reloaded and run on 4 samples; the largest output difference is 3.410, 0.372 relative');
    expect(text).toContain('written     out/resnet50.lowrank.onnx, 44.9 MB');
    expect(text).toContain('\nwarning: fine-tune before use: the outputs differ by 37.2 %\n');
  });

  it('says when nothing was verified or measured', () => {
    const text = renderConvertTable({ ...report, verify: null, totals: { ...report.totals, latencyMs: null } }, PLAIN);
    expect(text).toContain('Not verified.');
    expect(text).not.toContain('latency');
  });

  it.each([40, 80, 120, 200])('fits a terminal of %d columns', (columns) => {
    const text = renderConvertTable(report, { columns, hasColors: true });
    const table = stripVTControlCharacters(text).split('\n').slice(2, 57);
    expect(Math.max(...table.map(displayWidth))).toBeLessThanOrEqual(columns);
    // The name, the action and the parameters are the last to go.
    expect(table[0]).toMatch(columns === 40 ? /layer/ : /layer .*action .*rank\/max .*params +now/);
  });

  it('cannot be made to write to the terminal by a layer name', () => {
    const hostile = resnet50({ rename: (name, index) => (index === 3 ? `\u001B]0;owned\u0007\n${name}` : name) });
    const lines = renderConvertTable(hostile.report, PLAIN).split('\n');
    expect(lines.join('')).not.toMatch(/\p{Cc}/u);
    expect(lines).toHaveLength(renderConvertTable(report, PLAIN).split('\n').length);
  });
});

describe('a conversion by what the outputs feel', () => {
  const report = sensitive(resnet50().report);
  const text = renderConvertTable(report, PLAIN);
  const lineOf = (label: string, of = text): string | undefined =>
    of.split('\n').find((line) => line.startsWith(`${label} `));

  it('says how ranks were chosen, and what each layer costs', () => {
    expect(text).toMatch(/^[\n -~]*$/);
    expect(lineOf('ranks')).toMatch(/^ranks +by what the outputs feel of each layer: gradients of 32 images, 41\.2 s$/);
    expect(text.split('\n')[2]).toMatch(/weight err +function err +outputs feel +kept because$/);
    const layer = report.layers.find(({ name }) => name === 'layer4.0.conv2')!;
    const line = text.split('\n').find((each) => each.includes(` ${layer.name} `))!;
    expect(line.trim().split(/ {2,}/).at(-1)).toBe(formatSmall(layer.sensitivity!.change));
    const byLosses = { by: 'losses', reason: 'GridSample has no gradient', unit: 'kl', images: 0, seconds: 2 } as const;
    expect(renderConvertTable({ ...report, sensitivity: byLosses }, PLAIN)).toContain(
      "by the layers' own errors (GridSample has no gradient), 2.00 s",
    );
  });

  it('ends with the agreement, and what to do where it is poor', () => {
    expect(lineOf('agreement')).toBe(
      'agreement   96.1 % of 128 kept-out synthetic pictures get the same class (95 %: 91.2 % to 98.3 %), KL 0.02 nats (95 %: 0.015 to 0.026)',
    );
    expect(lineOf('advice')).toBeUndefined();
    const poor = { ...goodAgreement, data: 'photos', advice: 'keep more (a larger --macs-budget)' };
    const advised = renderConvertTable({ ...report, agreement: poor, warnings: [] }, PLAIN);
    expect(lineOf('agreement', advised)).toContain('96.1 % of 128 kept-out images from photos get the same class');
    expect(advised.trimEnd().split('\n').at(-1)).toBe('advice      keep more (a larger --macs-budget)');
  });

  it('tells of outputs that are no classes', () => {
    const outputs = ['boxes', 'scores', 'a', 'b', 'c'].map((name, index) => ({
      name,
      relativeError: 0.1 * (index + 1),
    }));
    const agreement = { ...goodAgreement, top1: null, kl: null, outputs };
    const of = (part: Partial<typeof agreement>): string | undefined =>
      lineOf('agreement', renderConvertTable({ ...report, agreement: { ...agreement, ...part } }, PLAIN));
    expect(of({})).toBe(
      'agreement   relative errors boxes 0.100, scores 0.200, a 0.300, b 0.400 and 1 more, on 128 kept-out synthetic pictures',
    );
    expect(of({ outputs: outputs.slice(0, 1) })).toContain('  relative error 0.100, on 128');
    const classesAlone = { ...report, agreement: { ...agreement, kl: goodAgreement.kl } };
    expect(lineOf('agreement', renderConvertTable(classesAlone, PLAIN))).toContain(
      '  KL 0.02 nats (95 %: 0.015 to 0.026) a class, on 128',
    );
  });

  it('shows the trade-off around the chosen budget, and all of it by itself', () => {
    const all = renderTradeOff(report.tradeOff!, PLAIN);
    expect(all).toHaveLength(1 + 17);
    expect(all[0]!.trim().split(/ {2,}/)).toEqual([
      'MACs budget',
      'MACs',
      'params',
      'KL expected',
      'KL measured',
      'same class',
      'images',
    ]);
    expect(
      all
        .find((line) => line.endsWith('chosen'))!
        .trim()
        .split(/ {2,}/),
    ).toEqual(['0.5', '50.0 %', '47.0 %', '0.1', '0.11', '92.1 %', '128', 'chosen']);
    const shown = text.split('\n').filter((line) => all.includes(line));
    expect(shown.length).toBeGreaterThanOrEqual(9);
    expect(shown.length).toBeLessThan(17);
    expect(shown.filter((line) => line.endsWith('chosen'))).toHaveLength(1);
    const points = report.tradeOff!.points.map((point) => Object.assign({}, point, { isChosen: false }));
    expect(renderConvertTable({ ...report, tradeOff: { ...report.tradeOff!, points } }, PLAIN)).not.toContain(
      'MACs budget',
    );
  });

  it.each([40, 80, 120])('fits a terminal of %d columns', (columns) => {
    const terminal = { columns, hasColors: true };
    const lines = [
      ...renderConvertTable(report, terminal).split('\n').slice(2),
      ...renderTradeOff(report.tradeOff!, terminal),
    ];
    // The last line is a warning, which is not wrapped.
    const widths = lines
      .filter((line) => !line.includes('warning'))
      .map((line) => displayWidth(stripVTControlCharacters(line)));
    expect(Math.max(...widths)).toBeLessThanOrEqual(columns);
  });
});

describe('renderInspectTable', () => {
  it('has ranks, spectra and pairs', () => {
    const report = resnet50Inspected();
    const text = renderInspectTable(report, PLAIN);
    expect(text).toMatch(/^[\n -~]*$/);
    const [header = ''] = text.split('\n').slice(2);
    expect(header.trim().split(/ {2,}/)).toEqual([
      '#',
      'layer',
      'op',
      'kernel',
      'in->out',
      'activation',
      'scheme',
      'rank',
      'max',
      'break-even',
      'stable rank',
      '90 %',
      '99 %',
      'params',
      'MACs',
      'pair by',
      'stays full because',
    ]);
    const pair = report.layers.find((layer) => layer.pair !== null);
    expect(text).toMatch(
      new RegExp(`${pair?.name.replaceAll('.', '\\.')} .* ${pair?.rank} +${pair?.maxRank} .* metadata`),
    );
    expect(text).toContain(`layers      54, of them ${report.totals.pairs} low-rank pairs`);
  });
});
