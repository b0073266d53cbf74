// Top-1 right after `lowrank convert` with nothing but a budget, without training: what the default keeps without data, and with images
// without labels, beside the weights alone (what the default was), on the same pictures, paired. No picture of the evaluation is seen before.
// npm run bench -- defaults [--cases resnet20,…] [--budgets 0.5,…] [--images 600] [--rules data-free,images,weights]
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { calibration, convert, type ConvertModelCall, type ConvertReport, evaluateModel } from '../src/index.js';
import { saveResult, sharedFolder } from './support/bench.js';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: 'resnet20,resnet8,efficientnet,resnet50v2' },
    budgets: { type: 'string', default: '' },
    images: { type: 'string', default: '600' },
    rules: { type: 'string', default: 'weights,data-free,images' },
    'calibrate-images': { type: 'string', default: '256' },
  },
});

interface Case {
  readonly file: string;
  readonly normalization: string;
  readonly budgets: readonly number[];
  /** Images without labels to fit on, and others with labels to measure on. */
  images(): { readonly fit: string; readonly val: string };
  /** Class list in the order of the model's outputs, where the folders are not all of them. */
  readonly classes?: string;
}

const shared = (path: string): string => join(sharedFolder, 'data', path);
const folder = mkdtempSync(join(tmpdir(), 'lowrank-defaults-'));

/** Two of three flowers of each class to fit on, the third to measure on. */
function flowers(): { readonly fit: string; readonly val: string } {
  const source = resolve(shared('images/flowers/test'));
  for (const name of readdirSync(source)) {
    for (const [index, file] of readdirSync(join(source, name)).sort().entries()) {
      const target = join(folder, 'flowers', index % 3 === 2 ? 'val' : 'fit', name);
      mkdirSync(target, { recursive: true });
      if (!existsSync(join(target, file))) symlinkSync(join(source, name, file), join(target, file));
    }
  }
  return { fit: join(folder, 'flowers/fit'), val: join(folder, 'flowers/val') };
}

const cifar = (): { readonly fit: string; readonly val: string } => ({
  fit: shared('images/cifar10/train'),
  val: shared('images/cifar10/test'),
});
const imagenette = (): { readonly fit: string; readonly val: string } => ({
  fit: shared('images/imagenette-160/train'),
  val: shared('images/imagenette-160/val'),
});

const cases: Readonly<Record<string, Case>> = {
  resnet20: {
    file: 'cifar10-resnet20-pt1.6-op9-bn.onnx',
    normalization: 'cifar10',
    budgets: [0.5, 0.35, 0.25],
    images: cifar,
  },
  resnet8: { file: 'st-resnetv1-8-cifar10.onnx', normalization: 'unit', budgets: [0.6, 0.5], images: cifar },
  efficientnet: {
    file: 'st-efficientnet-lc-flowers5.onnx',
    normalization: 'unit',
    budgets: [0.6, 0.51, 0.44],
    images: flowers,
  },
  resnet50v2: {
    file: 'resnet50v2-stages1to3-imagenette10.onnx',
    normalization: 'imagenet',
    budgets: [0.45, 0.3, 0.2],
    images: imagenette,
  },
};

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

const saved = 'bench/results/defaults.json';
const earlier = existsSync(saved) ? (JSON.parse(readFileSync(saved, 'utf8')) as { results: Result[] }).results : [];
const keyOf = ({ model, rule, macsBudget }: Result): string => [model, rule, macsBudget].join(' ');
const results = new Map(earlier.map((result) => [keyOf(result), result]));
const percent = (value: number): string => (100 * value).toFixed(1);

try {
  for (const model of values.cases.split(',')) {
    const found = cases[model];
    if (found === undefined) continue;
    const { file, normalization, budgets, images } = found;
    const path = shared(`models/${file}`);
    const { fit, val } = images();
    const chosen = values.budgets === '' ? budgets : values.budgets.split(',').map(Number);
    for (const macsBudget of chosen) {
      for (const rule of values.rules.split(',')) {
        const output = join(folder, 'out.onnx');
        const call = { output, force: true, macsBudget, verify: false };
        const report = await convert(path, { ...call, ...rules[rule]!(fit, normalization) });
        const settings = { normalization, limit: Number(values.images) };
        const measured = await evaluateModel({ model: output, versus: path, data: val, settings });
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
