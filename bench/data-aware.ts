// Top-1 right after conversion at equal MACs, without fine-tuning: initializations that look at real inputs beside those that do not.
// npm run bench -- data-aware [--models mobilenetv2,resnet50v2] [--inits …] [--budgets …] [--calibrate-images 256] [--images 600]
// Calibration on training images without their labels, evaluation on others; differences to `lfai` at the same budget are paired.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { calibration, convert, type InitName, loadDriver } from '../src/index.js';
import { saveResult, sharedFolder } from './support/bench.js';
import { judge } from './support/judge.js';
import {
  imagenetClasses,
  imagenetPreparation,
  imagenetSample,
  imagenette,
  type Picture,
  pixels,
} from './support/pictures.js';
import { interval, pairedDifference } from './support/proportion.js';

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '600' },
    models: { type: 'string', default: 'mobilenetv2,resnet50v2' },
    inits: { type: 'string', default: 'lfai,spectral,whitened,lfai-data,spectral-scaled,relu-svd,baseline' },
    budgets: { type: 'string', default: '' },
    'calibrate-images': { type: 'string', default: '256' },
  },
});

interface Subject {
  readonly file: string;
  /** Fractions of the multiply-accumulates. */
  readonly budgets: readonly number[];
  readonly sets: Readonly<Record<string, () => readonly Picture[]>>;
}

const count = Number(values.images);
const models: Readonly<Record<string, Subject>> = {
  mobilenetv2: {
    file: 'mobilenetv2-imagenet-fp32-int8fc.onnx',
    budgets: [0.9, 0.8, 0.7, 0.6],
    // 1,000 classes to choose from in both sets.
    sets: {
      'imagenet-sample': imagenetSample,
      'imagenette-160': () => {
        const classes = imagenetClasses();
        return imagenette((id) => classes.get(id)!, count);
      },
    },
  },
  resnet50v2: {
    file: 'resnet50v2-stages1to3-imagenette10.onnx',
    budgets: [0.7, 0.5, 0.4, 0.3],
    sets: { 'imagenette-160': () => imagenette((_, position) => position, count) },
  },
};

interface Result {
  readonly model: string;
  readonly images: string;
  readonly n: number;
  readonly init: string;
  readonly macsBudget: number | null;
  readonly top1: number;
  readonly ci95: readonly [number, number];
  /** top1 − that of `lfai`, on the same images; null where there is nothing to compare with. */
  readonly overLfai: { readonly difference: number; readonly ci95: readonly [number, number] } | null;
  readonly paramsRatio: number;
  readonly macsRatio: number;
  readonly seconds: number;
}

const needsImages: ReadonlySet<string> = new Set<InitName>(['whitened', 'lfai-data']);
const saved = 'bench/results/data-aware.json';
const driver = await loadDriver();
const folder = mkdtempSync(join(tmpdir(), 'lowrank-data-aware-'));
const calibrate = calibration(join(sharedFolder, 'data/images/imagenette-160/train'), {
  images: Number(values['calibrate-images']),
});
const earlier = existsSync(saved) ? (JSON.parse(readFileSync(saved, 'utf8')) as { results: Result[] }).results : [];
const keyOf = ({ model, images, init, macsBudget }: Result): string => [model, images, init, macsBudget].join(' ');
const results = new Map(earlier.map((result) => [keyOf(result), result]));
const percent = (value: number): string => (100 * value).toFixed(1);

function add(result: Result): void {
  results.set(keyOf(result), result);
  const { overLfai: over } = result;
  const paired = over === null ? '' : `, over lfai ${percent(over.difference)} [${over.ci95.map(percent).join(', ')}]`;
  process.stdout.write(
    `${result.model} ${result.images} (n = ${result.n})  ${result.init} ${result.macsBudget ?? ''}: ${percent(result.top1)} % ` +
      `[${result.ci95.map(percent).join(', ')}]${paired}, params ×${result.paramsRatio.toFixed(3)} MACs ×${result.macsRatio.toFixed(3)}, ${result.seconds.toFixed(0)} s\n`,
  );
  // Saved one by one: models, budgets and initializations that are not part of this run keep what was measured before.
  saveResult('data-aware', { calibrationImages: Number(values['calibrate-images']), results: [...results.values()] });
}

try {
  for (const name of values.models.split(',')) {
    const { file, budgets, sets } = models[name]!;
    const path = join(sharedFolder, 'data/models', file);
    const loaded = await Promise.all(
      Object.entries(sets).map(async ([set, list]) => {
        const pictures = list();
        const inputs = await Promise.all(pictures.map((picture) => pixels(picture.file, imagenetPreparation)));
        return { set, pictures, inputs };
      }),
    );
    const references = new Map<string, readonly boolean[]>();
    const measure = async (
      model: string,
      variant: Omit<Result, 'model' | 'images' | 'n' | 'top1' | 'ci95' | 'overLfai'>,
    ): Promise<void> => {
      for (const { set, pictures, inputs } of loaded) {
        const right = await judge(driver, model, inputs, pictures, imagenetPreparation.side);
        const hits = right.filter(Boolean).length;
        const key = `${set} ${variant.macsBudget}`;
        if (variant.init === 'lfai') references.set(key, right);
        const reference = variant.init === 'lfai' ? undefined : references.get(key);
        const overLfai = reference === undefined ? null : pairedDifference(right, reference);
        const n = pictures.length;
        add({ model: name, images: set, n, ...variant, top1: hits / n, ci95: interval(hits, n), overLfai });
      }
    };
    const nothing = { paramsRatio: 1, macsRatio: 1, seconds: 0 };
    await measure(path, { init: 'original', macsBudget: null, ...nothing });
    const chosen = values.budgets === '' ? budgets : values.budgets.split(',').map(Number);
    // `lfai` first: the others are compared with it.
    const inits = values.inits.split(',').sort((a, b) => Number(b === 'lfai') - Number(a === 'lfai')) as InitName[];
    for (const macsBudget of chosen) {
      for (const init of inits) {
        const output = join(folder, 'out.onnx');
        const started = performance.now();
        const images = needsImages.has(init) ? { calibrate } : {};
        const report = await convert(path, { output, force: true, init, macsBudget, verify: false, ...images });
        await measure(output, {
          init,
          macsBudget,
          paramsRatio: report.totals.params.ratio,
          macsRatio: report.totals.macs.ratio,
          seconds: (performance.now() - started) / 1000,
        });
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
