import { describe, expect, it } from 'vitest';
import { studyHtml } from '../../src/report/html/study.js';
import { accuracyAxis } from '../../src/report/html/scale-chart.js';
import { renderStudyTable } from '../../src/report/study-table.js';
import { PLAIN } from '../../src/report/terminal.js';
import { expectBalanced, expectHarmless, HOSTILE } from './support/harmless.js';
import { studyReport } from './support/study-report.js';

describe('studyHtml', () => {
  it('has a panel for each architecture and regularizer, and every condition', async () => {
    const report = studyReport();
    const page = await studyHtml(report);
    expectHarmless(page);
    expectBalanced(page);
    for (const architecture of ['resnet8_cifar', 'resnet8_cifar_nobn']) {
      for (const regularizer of ['weight decay', 'Frobenius decay']) {
        expect(page).toContain(`<h3>${architecture}, ${regularizer} 0.0001</h3>`);
      }
    }
    const { mean, deviation } = report.groups.find(({ init }) => init === 'lfai')!;
    expect(page).toContain(`${(100 * mean!).toFixed(1)} ± ${(100 * deviation!).toFixed(1)} %`);
    expect(page).toContain('full rank: ');
    expect(page).toContain('348 of 348 cells finished');
  });

  it('draws means to scale', async () => {
    const report = studyReport({ architectures: ['net'], regularizers: ['weight decay 0.0001'], inits: ['lfai'] });
    const page = await studyHtml(report);
    const chart = /<svg class="chart wide"[^]*?<\/svg>/.exec(page)?.[0] ?? '';
    const points = Array.from(
      chart.matchAll(/matrix\([\d.]+,0,0,[\d.]+,([\d.]+),([\d.]+)\)"[^>]*><title>lfai at rank scale ([\d.]+): /g),
      ([, x, y, scale]) => ({ x: Number(x), y: Number(y), scale: Number(scale) }),
    );
    const means = report.groups.filter(({ init }) => init === 'lfai').map(({ mean }) => mean!);
    expect(points.map(({ scale }) => scale)).toEqual([0.05, 0.1, 0.15, 0.2]);
    const [first, last] = [points[0]!, points[3]!];
    points.forEach(({ x, y }, index) => {
      const share = (means[index]! - means[0]!) / (means[3]! - means[0]!);
      // Coordinates are written with at most four digits behind the point.
      expect(Math.abs(y - (first.y + share * (last.y - first.y)))).toBeLessThan(0.01);
      expect(Math.abs(x - (first.x + (index / 3) * (last.x - first.x)))).toBeLessThan(0.01);
    });
  });

  it('says what diverged and what is missing', async () => {
    const report = studyReport({ diverged: [3, 4, 5], done: 100 });
    const page = await studyHtml(report);
    expect(page).toContain('3 cells diverged');
    expect(page).toContain('diverged: the loss is not finite; step 3');
    expect(page).toContain('Not finished');
    const text = renderStudyTable(report, PLAIN);
    expect(text).toContain('3 diverged');
    expect(text).toContain('interrupted: 97 of 348 cells finished, 3 diverged, 248 to do');
  });

  it('shows a study without any result', async () => {
    const page = await studyHtml(studyReport({ done: 0 }));
    expectBalanced(page);
    expect(page).not.toContain('svg class="chart');
  });

  it('escapes names', async () => {
    const page = await studyHtml(studyReport({ architectures: [HOSTILE], regularizers: [HOSTILE], inits: [HOSTILE] }));
    expectHarmless(page);
    expectBalanced(page);
  });
});

describe('accuracyAxis', () => {
  it.each([
    [[0.31, 0.42], 0.3, 0.42, 0.02],
    [[0, 1], 0, 1, 0.2],
    [[0.3, 0.3], 0.3, 0.305, 0.005],
    [[0.613, 0.7], 0.6, 0.7, 0.02],
  ])('holds %j between round numbers', (values, min, max, interval) => {
    const axis = accuracyAxis(values);
    expect(axis.min).toBeCloseTo(min, 12);
    expect(axis.max).toBeCloseTo(max, 12);
    expect(axis.interval).toBe(interval);
  });
});
