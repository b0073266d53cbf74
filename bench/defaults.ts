// Top-1 right after `lowrank convert` with nothing but a budget, without training: what the default keeps without data, and with images
// without labels, beside the weights alone (what the default was), on the same pictures, paired. No picture of the evaluation is seen before.
// npm run bench -- defaults [--cases resnet20,…] [--budgets 0.5,…] [--images 600] [--rules data-free,images,weights]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { calibration, convert, type ConvertModelCall, type ConvertReport, evaluateModel, merge } from '../src/index.js';
import { earlierResults, saveResult } from './support/bench.js';
import { cases, shared } from './support/cases.js';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: 'resnet20,resnet8,efficientnet,resnet50v2' },
    budgets: { type: 'string', default: '' },
    images: { type: 'string', default: '600' },
    rules: { type: 'string', default: 'weights,data-free,images' },
    'calibrate-images': { type: 'string', default: '256' },
  },
});

const folder = mkdtempSync(join(tmpdir(), 'lowrank-defaults-'));

const rules: Readonly<Record<string, (fit: string, normalization: string) => Partial<ConvertModelCall>>> = {
  weights: () => ({ calibrate: 'none' }),
  'data-free': () => ({}),
  images: (fit, normalization) => ({
    calibrate: calibration(fit, { images: Number(values['calibrate-images']), normalization }),
  }),
};

interface Result {
  readonly model: string;
  readonly rule: string;
  readonly macsBudget: number;
  readonly n: number;
  readonly original: number;
  readonly top1: number;
  readonly ci95: readonly [number, number];
  /** top1 − that of the original, on the same images. */
  readonly overOriginal: { readonly difference: number; readonly ci95: readonly [number, number] };
  readonly agreement: ConvertReport['agreement'] | null;
  readonly paramsRatio: number;
  readonly macsRatio: number;
  readonly seconds: number;
}

const keyOf = ({ model, rule, macsBudget }: Result): string => [model, rule, macsBudget].join(' ');
const results = earlierResults<Result>('defaults', keyOf);
const percent = (value: number): string => (100 * value).toFixed(1);

try {
  for (const model of values.cases.split(',')) {
    const found = cases[model];
    if (found === undefined) continue;
    const { file, normalization, budgets, images, classes, isFolded } = found;
    let path = shared(`models/${file}`);
    if (isFolded === true) {
      const folded = join(folder, `folded-${file}`);
      await merge(path, { output: folded, force: true });
      path = folded;
    }
    const { fit, val } = images(folder);
    const chosen = values.budgets === '' ? budgets : values.budgets.split(',').map(Number);
    for (const macsBudget of chosen) {
      for (const rule of values.rules.split(',')) {
        const output = join(folder, 'out.onnx');
        const call = { output, force: true, macsBudget, verify: false };
        const report = await convert(path, { ...call, ...rules[rule]!(fit, normalization) });
        const settings = { normalization, limit: Number(values.images) };
        const measured = await evaluateModel({ model: output, versus: path, data: val, classes, settings });
        const { difference, ci95 } = measured.versus!;
        const result: Result = {
          model,
          rule,
          macsBudget,
          n: measured.n,
          original: measured.versus!.top1,
          top1: measured.top1,
          ci95: measured.ci95,
          overOriginal: { difference, ci95 },
          agreement: report.agreement ?? null,
          paramsRatio: report.totals.params.ratio,
          macsRatio: report.totals.macs.ratio,
          seconds: report.seconds.total,
        };
        results.set(keyOf(result), result);
        process.stdout.write(
          `${model} ${macsBudget} ${rule}: ${percent(result.top1)} [${result.ci95.map(percent).join(', ')}] of ${percent(result.original)} (n = ${result.n}), ` +
            `agreement ${percent(report.agreement?.top1?.share ?? Number.NaN)}, MACs ×${result.macsRatio.toFixed(3)} params ×${result.paramsRatio.toFixed(3)}, ${result.seconds.toFixed(0)} s\n`,
        );
        saveResult('defaults', { results: [...results.values()] });
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
